//! What tables were that have become one, as far as the one cannot tell it: a split of it gives them that back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalogue::Refactor;
use crate::catalogue::split_rows::SplitRows;
use crate::name::{Ident, listed};
use crate::relation::{self, Attached, Origin, Relation};
use crate::schema::{Constraint, ConstraintKind, Field, Index, Schema, Table};
use crate::sql::Expression;
use crate::version::Version;

/// What one of the tables was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Original {
    /// The table.
    pub table: Ident,
    /// Its fields, if they had another order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Ident>,
    /// Unique constraints, of which the one table has only indexes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Ident>,
    /// Constraints and indexes of the one table that it had not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Ident>,
    /// Fields that had no comment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncommented: Vec<Ident>,
    /// Other defaults, and NULL where it had none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub defaults: BTreeMap<String, Expression>,
}

impl Original {
    /// What the tables are that become one, where `split` would give others.
    #[must_use]
    pub fn all(
        step: &str,
        before: &Version,
        relations: &[&Relation],
        united: &Relation,
        split: &SplitRows,
    ) -> Vec<Self> {
        let real = Version::base(Arc::new(real(before, relations, united)));
        let Ok(after) = split.after(step, &real) else { return Vec::new() };
        let named = |r: &Relation| relations[0].name.renamed(r.name.name.clone());
        let parts = relations.iter().filter_map(|r| Some((*r, after.relations.get(&named(r))?)));
        parts.map(|(relation, part)| Self::of(relation, part)).filter(|o| !o.is_nothing()).collect()
    }

    fn of(relation: &Relation, part: &Relation) -> Self {
        let order = |r: &Relation| r.fields.iter().map(|f| f.shape.name.clone()).collect::<Vec<Ident>>();
        let named = |name: &Ident| relation.constraints.iter().find(|c| c.item.name == *name);
        let is_key = |name: &&Ident| named(name).is_some_and(|c| c.item.kind == ConstraintKind::Unique);
        let indexes = || part.indexes.iter().map(|i| &i.item);
        let keys: Vec<Ident> =
            indexes().filter(|i| i.constraint.is_none()).map(|i| &i.name).filter(is_key).cloned().collect();
        let primary = |c: &&Constraint| c.kind != ConstraintKind::Primary;
        let constraints = part.constraints.iter().map(|c| &c.item).filter(primary);
        let gained = constraints.filter(|c| !relation.constraints.iter().any(|was| is_same(&was.item, c)));
        let had = |index: &Index| relation.indexes.iter().any(|was| tail(&was.item) == tail(index));
        let alone = indexes().filter(|i| i.constraint.is_none() && !keys.contains(&i.name));
        let more = alone.filter(|i| !had(i)).map(|i| i.name.clone());
        let lacks = gained.map(|c| c.name.clone()).chain(more).collect();
        let numbered = |f: &Field| f.sequence.is_some() || f.identity.is_some() || f.generated.is_some();
        let mut defaults = BTreeMap::new();
        for was in relation.fields.iter().map(|f| &f.shape).filter(|f| !numbered(f)) {
            let is = part.field(&was.name).map(|f| &f.shape);
            let other = is.is_some_and(|is| is.default != was.default && !numbered(is));
            let default = was.default.as_deref().map_or_else(|| Ok(Expression::null()), Expression::parse);
            if let Some(default) = default.ok().filter(|_| other) {
                defaults.insert(was.name.as_str().to_owned(), default);
            }
        }
        let commented = |f: &Ident| part.field(f).is_some_and(|f| f.shape.comment.is_some());
        let bare = relation.fields.iter().map(|f| &f.shape).filter(|s| s.comment.is_none() && commented(&s.name));
        let uncommented = bare.map(|s| s.name.clone()).collect();
        let fields = Some(order(relation)).filter(|was| *was != order(part)).unwrap_or_default();
        Self { table: relation.name.name.clone(), fields, keys, lacks, uncommented, defaults }
    }

    fn is_nothing(&self) -> bool {
        let Self { table: _, fields, keys, lacks, uncommented, defaults } = self;
        [fields, keys, lacks, uncommented].iter().all(|list| list.is_empty()) && defaults.is_empty()
    }

    /// Gives it back to the table.
    pub fn restore(&self, step: &str, part: &mut Relation) {
        let lacks = |name: &Ident| self.lacks.contains(name);
        part.constraints.retain(|c| !lacks(&c.item.name));
        part.indexes.retain(|i| !lacks(&i.item.name) && !i.item.constraint.as_ref().is_some_and(lacks));
        for index in part.indexes.iter_mut().filter(|i| self.keys.contains(&i.item.name)) {
            let (name, fields) = (index.item.name.clone(), index.item.fields.clone());
            index.item.constraint = Some(name.clone());
            let definition = format!("UNIQUE ({})", listed(&fields));
            let item = Constraint::named(name, ConstraintKind::Unique, fields.clone(), definition);
            part.constraints.push(Attached { item, origin: Origin::Rows(step.to_owned()), columns: fields });
        }
        for field in part.fields.iter_mut().map(|f| &mut f.shape) {
            field.comment = field.comment.take().filter(|_| !self.uncommented.contains(&field.name));
            if let Some(default) = self.defaults.get(field.name.as_str()) {
                field.default = Some(default.to_string()).filter(|_| *default != Expression::null());
            }
        }
        part.put_in_order(&self.fields);
    }
}

/// The schema once the union is real.
fn real(before: &Version, relations: &[&Relation], united: &Relation) -> Schema {
    let mut schema = Schema::clone(&before.schema);
    let heir = before.table(relations[0]).clone();
    for relation in relations {
        let gone = schema.tables.remove(&relation.base).unwrap_or_default();
        let sequences = gone.fields.into_iter().filter_map(|f| f.sequence);
        let indexes = gone.indexes.into_iter().map(|i| relation.base.renamed(i.name));
        for name in sequences.chain(indexes) {
            schema.other_names.remove(&name);
        }
    }
    let table = Table {
        fields: united.fields.iter().map(|f| f.shape.clone()).collect(),
        constraints: united.constraints.iter().map(|c| c.item.clone()).collect(),
        indexes: united.indexes.iter().map(|i| i.item.clone()).collect(),
        ..heir
    };
    schema.tables.insert(united.name.clone(), table);
    schema
}

/// Whether two constraints demand the same. PostgreSQL prints a check with other brackets than we do.
fn is_same(a: &Constraint, b: &Constraint) -> bool {
    let fields = |c: &Constraint| c.fields.iter().cloned().collect::<BTreeSet<Ident>>();
    let text = |c: &Constraint| relation::checked(c).map_or_else(|| c.definition.clone(), |e| e.bare().to_string());
    a.kind == b.kind && fields(a) == fields(b) && text(a) == text(b)
}

/// What an index says, without its name and its table.
fn tail(index: &Index) -> Option<(bool, &str, Option<String>)> {
    let (_, tail) = index.definition.split_once(" USING ")?;
    let (keys, only) = tail.split_once(" WHERE ").map_or((tail, None), |(keys, only)| (keys, Some(only)));
    let only = only.map(|only| Expression::parse(only).map_or_else(|_| only.to_owned(), |e| e.bare().to_string()));
    Some((index.unique, keys, only))
}
