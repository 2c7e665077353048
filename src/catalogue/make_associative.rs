//! `make-associative`: a foreign key becomes a table of links, so that a row can refer to several.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::collapse_associative::CollapseAssociative;
use crate::catalogue::draft::Draft;
use crate::catalogue::entangled::{self, Purpose};
use crate::catalogue::{Refactor, Refactoring, rule, split_rows};
use crate::name::{FieldRef, Ident, Renaming, TableName, TableRef, listed};
use crate::refusal::Refusal;
use crate::relation::{Attached, Hidden, NamesFields, Relation, Rows, Stores};
use crate::schema::element::Element;
use crate::schema::{self, Constraint, ForeignKey, Index, TableKind};
use crate::sql::Expression;
use crate::version::{Link, Made, Version};

/// Make a table of links of a foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakeAssociative {
    /// Field that refers to one row, as in `books.author_id`; the first of several
    pub field: FieldRef,
    /// Table of the links, in the same schema if none is given
    #[arg(long, value_name = "TABLE")]
    pub into: TableRef,
    /// Names there of what refers to the field's table [default: table and key]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<Ident>,
    /// Names there of what the field becomes [default: the same]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Ident>,
    /// Fields and rules of the table that comes back
    #[arg(long, hide = true, value_name = "ELEMENT")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<Element>,
}

/// The foreign key in a version.
struct Found<'v> {
    relation: &'v Relation,
    constraint: &'v Attached<Constraint>,
    key: &'v ForeignKey,
    far: &'v Relation,
    /// The key of the field's table, as it is stored and as it is called.
    row_key: Vec<Ident>,
    own_key: Vec<Ident>,
}

impl MakeAssociative {
    fn find<'v>(&self, version: &'v Version) -> Result<Found<'v>, Refusal> {
        let (relation, field) = version.find_field(&self.field)?;
        version.must_be_whole(relation)?;
        let name = &field.shape.name;
        let (constraint, key) =
            relation.foreign_keys().find(|(c, _)| c.item.fields.first() == Some(name)).ok_or_else(|| {
                Refusal::Entangled {
                    field: self.field.clone(),
                    role: "is no foreign key, nor the first field of one".into(),
                    hint: Some("add the foreign key first: `refactor add-foreign-key`".into()),
                }
            })?;
        let far = version.over(&key.table).ok_or_else(|| Refusal::NoKey { table: relation.name.clone() })?;
        version.must_be_whole(far)?;
        let (row_key, own_key) = entangled::shown_key(version, relation)?;
        Ok(Found { relation, constraint, key, far, row_key, own_key })
    }

    /// Names of the links' fields: what refers to the table of the field, and what the field becomes.
    fn names(&self, found: &Found) -> Result<(Vec<Ident>, Vec<Ident>), Refusal> {
        let table = found.relation.name.name.as_str();
        let default = || found.own_key.iter().map(|k| entangled::referring(table, k)).collect();
        let from = if self.from.is_empty() { default() } else { self.from.clone() };
        let to = if self.to.is_empty() { found.constraint.item.fields.clone() } else { self.to.clone() };
        for (option, given, wanted) in [("--from", &from, &found.own_key), ("--to", &to, &found.constraint.item.fields)]
        {
            if given.len() != wanted.len() {
                return Err(Refusal::NeedsValue(
                    format!("{} are {} fields", rule::quoted(wanted), wanted.len()),
                    format!("give `{option}` one name for each of them"),
                ));
            }
        }
        if let Some(twice) = from.iter().find(|f| to.contains(f)) {
            return Err(Refusal::Other {
                why: format!("`{}` would have the field `{twice}` twice", self.into),
                hint: Some("choose other names with `--from` or `--to`".into()),
            });
        }
        Ok((from, to))
    }

    fn check(&self, version: &Version, found: &Found) -> Result<(), Refusal> {
        let relation = found.relation;
        let fields = || found.constraint.item.fields.iter().filter_map(|f| relation.field(f));
        if version.table(relation).kind != TableKind::Plain {
            return Err(Refusal::TableKind {
                table: relation.name.clone(),
                why: "is partitioned".into(),
                hint: Some("make the table of links by hand: `refactor create-table`".into()),
            });
        }
        split_rows::must_not_be_read(version, relation)?;
        version.stored(relation, &found.constraint.item.fields)?;
        let mut rest = relation.clone();
        rest.constraints.retain(|c| c.item.name != found.constraint.item.name);
        for field in fields() {
            entangled::check(version, &rest, field, Purpose::Move)?;
            if field.shape.not_null {
                return Err(Refusal::Entangled {
                    field: FieldRef { table: self.field.table.clone(), field: field.shape.name.clone() },
                    role: "may not be NULL, but new code will insert rows before their links".into(),
                    hint: Some(format!(
                        "allow NULL first: `refactor drop-not-null {}`",
                        relation.name.typed_field(&field.shape.name)
                    )),
                });
            }
        }
        if found.constraint.brought_by().is_some() || !found.constraint.item.validated {
            return Err(Refusal::Other {
                why: format!("no table keeps the foreign key `{}` yet", found.constraint.item.name),
                hint: Some("materialize or validate it first".into()),
            });
        }
        if found.constraint.item.fields.len() > 1 && !found.key.match_full {
            return Err(Refusal::Other {
                why: format!("`{}` may be given in part, which is no link", found.constraint.item.name),
                hint: Some("make it MATCH FULL first".into()),
            });
        }
        if matches!(found.key.on_delete, 'c' | 'd') || matches!(found.key.on_update, 'n' | 'd') {
            return Err(Refusal::Other {
                why: format!(
                    "`{}` deletes or changes rows of `{}` when a row of `{}` goes or changes its key, and a link could not",
                    found.constraint.item.name,
                    relation.name.short(),
                    found.far.name.short()
                ),
                hint: Some("make it ON DELETE SET NULL or NO ACTION, and ON UPDATE CASCADE or NO ACTION, first".into()),
            });
        }
        Ok(())
    }

    /// The links, as CREATE TABLE would make them.
    fn links(
        &self,
        before: &Version,
        found: &Found,
        (from, to): (&[Ident], &[Ident]),
    ) -> Result<Vec<Element>, Refusal> {
        if !self.elements.is_empty() {
            return Ok(self.elements.clone());
        }
        let field = |(new, old): (&Ident, &Ident)| {
            let shape = found.relation.field(old)?.shape.clone();
            let plain = schema::Field {
                type_name: shape.type_name,
                collation: shape.collation,
                not_null: true,
                ..schema::Field::named(new.clone())
            };
            Some(plain.definition())
        };
        let (own, old) = (from.iter().zip(&found.own_key), to.iter().zip(&found.constraint.item.fields));
        let mut texts: Vec<String> = own.chain(old).filter_map(field).collect();
        texts.push(format!("PRIMARY KEY ({}, {})", listed(from), listed(to)));
        let references = |table: &TableName, fields: &[Ident]| format!("REFERENCES {table} ({})", listed(fields));
        texts.push(format!(
            "FOREIGN KEY ({}) {} ON UPDATE CASCADE ON DELETE CASCADE",
            listed(from),
            references(&found.relation.name, &found.own_key)
        ));
        let shown = |c: &Ident| found.far.showing(&before.schema, c).map(|f| f.shape.name.clone());
        let far: Vec<Ident> = found.key.fields.iter().filter_map(shown).collect();
        let action = |letter: char, set_null: &'static str| match letter {
            'c' => "CASCADE",
            'r' => "RESTRICT",
            'n' => set_null,
            _ => "NO ACTION",
        };
        texts.push(format!(
            "CONSTRAINT {} FOREIGN KEY ({}) {} ON UPDATE {} ON DELETE {}{}",
            found.constraint.item.name,
            listed(to),
            references(&found.far.name, &far),
            action(found.key.on_update, "NO ACTION"),
            // A link without its far end is none.
            action(found.key.on_delete, "CASCADE"),
            match (found.constraint.item.deferrable, found.constraint.item.deferred) {
                (true, true) => " DEFERRABLE INITIALLY DEFERRED",
                (true, false) => " DEFERRABLE",
                (false, _) => "",
            },
        ));
        let unreadable = |e: crate::sql::ExpressionError| Refusal::Expression(e.to_string());
        texts.iter().map(|text| text.parse().map_err(unreadable)).collect()
    }
}

impl Refactor for MakeAssociative {
    fn wish(&self) -> String {
        format!("make links of `{}` into `{}`", self.field, self.into)
    }

    fn slug(&self) -> String {
        format!("make-{}-of-{}", self.into.name.as_str(), self.field.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let found = self.find(before)?;
        self.check(before, &found)?;
        let (relation, fields) = (found.relation, &found.constraint.item.fields);
        let (from, to) = self.names(&found)?;
        let name = before.free_name(&entangled::reference(&entangled::beside(relation, &self.into)))?;
        let physical = before.new_table(step, &name.name);
        let mut draft = Draft::new(before, &name, &physical);
        draft.fill(&self.links(before, &found, (&from, &to))?, false)?;
        let (table, sequences) = draft.like(before.table(relation));
        let mut after = before.clone();
        // The foreign key and its index come along.
        let mut rest = relation.clone();
        rest.constraints.retain(|c| c.item.name != found.constraint.item.name);
        let mut indexes: Vec<Attached<Index>> = rest.indexes.extract_if(.., |i| i.item.fields == *fields).collect();
        for field in fields.iter().filter_map(|f| relation.field(f)) {
            entangled::note(&mut after, step, &rest, field, Purpose::Drop);
        }
        let renames = fields.iter().cloned().zip(to.iter().cloned()).collect();
        for index in &mut indexes {
            index.item.rename(&renames);
        }
        after.links.push(Link {
            step: step.to_owned(),
            id: entangled::generated_id(step, &name.name),
            table: relation.base.clone(),
            key: found.row_key.clone(),
            columns: before.stored(relation, fields)?,
            links: physical.clone(),
            from,
            to,
            far: found.key.table.clone(),
            far_key: found.key.fields.clone(),
        });
        after.make(Made { step: step.to_owned(), table: physical, restores: None }, &name, table, sequences);
        let at = after.links.len() - 1;
        let linked = after.change(&name, step);
        linked.rows = Rows::Linked(at);
        linked.indexes.extend(indexes);
        let changed = after.change(&relation.name, step);
        changed.remove_fields(fields);
        let null = "NULL".parse().map_err(|e: crate::sql::ExpressionError| Refusal::Expression(e.to_string()))?;
        let hidden = after.links[at].columns.clone().into_iter();
        let hidden: Vec<Hidden> =
            hidden.map(|column| Hidden { column, stores: Stores::Value(Expression::clone(&null)) }).collect();
        after.change(&relation.name, step).hidden.extend(hidden);
        Ok(after)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let found = self.find(before)?;
        let (from, to) = self.names(&found)?;
        let after = self.after(step, before)?;
        let links = &after.relations[&entangled::beside(found.relation, &self.into)];
        let itself = found.far.base == found.relation.base;
        let via = links.foreign_keys().find(|(c, _)| itself && c.item.fields == from).map(|(c, _)| c.item.name.clone());
        let back = to.iter().zip(&found.constraint.item.fields).filter(|(new, old)| new != old);
        Ok(Refactoring::CollapseAssociative(CollapseAssociative {
            table: entangled::reference(&entangled::beside(found.relation, &self.into)),
            into: entangled::reference(&found.relation.name),
            via,
            names: back.map(|(new, old)| Renaming { from: new.clone(), to: old.clone() }).collect(),
            order: found.relation.fields.iter().map(|f| f.shape.name.clone()).collect(),
        }))
    }
}
