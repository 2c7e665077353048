//! Taking a rule back by which rows are in quarantine: its table shows them again.
//!
//! Once the rule is real, they are in a table beside it: the two are united, and whatever breaks the rule is written
//! there until the one table takes it.

use crate::catalogue::quarantine::keeps;
use crate::catalogue::{entangled, union_tables, uniting};
use crate::fact::LossKind;
use crate::name::{Ident, TableName};
use crate::refusal::Refusal;
use crate::relation::{Condition, Part, Relation, Rows};
use crate::schema::{self, Constraint, ConstraintKind, Index, Table};
use crate::sql::Expression;
use crate::version::{Branch, Source, Union, Version, lost_table};

/// What is taken back.
pub struct BringBack<'a> {
    /// The refactoring that put the rows in quarantine.
    pub restores: &'a str,
    /// What their table was then: see [`shapes`].
    pub kept: &'a [String],
    /// The rule.
    pub rule: &'a Constraint,
}

impl BringBack<'_> {
    /// The version without the rule; `loosen` takes it off a relation.
    ///
    /// # Errors
    /// When the rows would not fit into the table, or what hangs on it cannot hold for two tables.
    pub fn after(
        &self,
        step: &str,
        before: &Version,
        name: &TableName,
        loosen: impl Fn(&mut Relation),
    ) -> Result<Version, Refusal> {
        let mut after = before.clone();
        let mut loose = before.relations[name].clone();
        loosen(&mut loose);
        if self.never_was(&mut after, &mut loose)? {
            loose.touch(step);
            after.relations.insert(name.clone(), loose);
            return Ok(after);
        }
        uniting::check(before, &before.relations[name])?;
        self.must_fit(&loose, self.kept)?;
        self.unite(step, before, after, loose)
    }

    /// Whether the quarantine is not real yet. Then no row was ever gone.
    fn never_was(&self, after: &mut Version, loose: &mut Relation) -> Result<bool, Refusal> {
        let step = self.restores;
        if !loose.quarantines().any(|q| q.step == step) {
            return Ok(false);
        }
        let there = after.quarantined.iter().find(|q| q.step == step).map(|q| shapes(&q.rows)).unwrap_or_default();
        self.must_fit(loose, &there)?;
        after.losses.retain(|l| l.step != step || !matches!(l.kind, LossKind::Quarantined(_)));
        let conditions: Vec<Condition> = loose.conditions().iter().filter(|c| c.step != step).cloned().collect();
        loose.rows = if conditions.is_empty() { Rows::Whole } else { Rows::Part(Part { conditions, heir: true }) };
        Ok(true)
    }

    /// Refuses to bring rows back to a table that has other fields or rules by now.
    fn must_fit(&self, loose: &Relation, kept: &[String]) -> Result<(), Refusal> {
        match difference(loose, kept) {
            None => Ok(()),
            Some(what) => self.refuse(format!(
                "what {} put in quarantine would not fit: `{}` was another table then, which differs by `{what}`",
                self.restores,
                loose.name.short()
            )),
        }
    }

    fn refuse<T>(&self, why: String) -> Result<T, Refusal> {
        let lost = lost_table(self.restores);
        Err(Refusal::Other {
            why,
            hint: Some(format!("leave `restores` out, and insert the rows of `{lost}` by hand once this is real")),
        })
    }

    /// Unites the table with that of the rows in quarantine.
    fn unite(&self, step: &str, before: &Version, mut after: Version, united: Relation) -> Result<Version, Refusal> {
        let (name, base) = (united.name.clone(), united.base.clone());
        if united.foreign_keys().any(|(_, key)| key.table == base) {
            let why = format!("`{}` refers to itself, and rows of two tables could not", name.short());
            return self.refuse(why);
        }
        let key = entangled::row_key(before, &united)?;
        let lost = lost_table(self.restores);
        let table = kept_table(before.table(&united), &lost, &key);
        let beside = Relation { name: lost.clone(), ..Relation::of(&lost, &table) };
        let shapes: Vec<schema::Field> = united.fields.iter().map(|f| f.shape.clone()).collect();
        let sources: Vec<Source> = shapes.iter().map(|s| Source::Column(s.name.clone())).collect();
        let broken = Expression::parse(&format!("NOT ({})", keeps(self.rule)?))
            .map_err(|e| Refusal::Expression(e.to_string()))?;
        let branches = vec![
            Branch { table: base.clone(), key: key.clone(), takes: None, sources: sources.clone() },
            Branch { table: lost.clone(), key, takes: Some(broken), sources },
        ];
        let keys = uniting::keys(&united, uniting::DROP_FIRST)?;
        union_tables::facts(&mut after, step, &name, &branches, &shapes, &keys);
        uniting::remarks(&mut after, step, &[&before.relations[&name], &beside], &branches);
        let union = Union {
            step: step.to_owned(),
            id: entangled::generated_id(step, &name.name),
            branches,
            fields: shapes.iter().map(|s| (s.name.clone(), s.type_name.clone())).collect(),
            keys,
            discriminator: None,
            brings_back: true,
            mark: None,
        };
        uniting::unite(&mut after, united, shapes, union, table);
        Ok(after)
    }
}

/// The table of rows in quarantine, as far as anything depends on it.
pub(super) fn kept_table(table: &Table, lost: &TableName, key: &[Ident]) -> Table {
    let plain = |f: &schema::Field| schema::Field { identity: None, sequence: None, default: None, ..f.clone() };
    let name = Ident::generated(&[lost.name.as_str(), "pkey"]);
    let definition = format!("PRIMARY KEY ({})", crate::name::listed(key));
    Table {
        owner: table.owner.clone(),
        fields: table.fields.iter().map(plain).collect(),
        constraints: vec![Constraint::named(name.clone(), ConstraintKind::Primary, key.to_vec(), definition)],
        indexes: vec![Index { constraint: Some(name.clone()), ..Index::unique(&name, lost, key) }],
        rows: -1.0,
        ..Table::default()
    }
}

/// What of a table is another than it was, if anything: see [`shapes`].
#[must_use]
pub fn difference(relation: &Relation, kept: &[String]) -> Option<String> {
    let now = shapes(relation);
    let differs = now.iter().find(|f| !kept.contains(f)).or_else(|| kept.iter().find(|f| !now.contains(f)));
    differs.cloned()
}

/// What a row of the table is, and must keep by itself: fields and checks, as they are written down for who brings its
/// rows back.
#[must_use]
pub fn shapes(relation: &Relation) -> Vec<String> {
    let fields = relation.fields.iter().map(|f| {
        let not_null = if f.shape.not_null { " NOT NULL" } else { "" };
        format!("{} {}{not_null}", f.shape.name, f.shape.type_name)
    });
    let checks = relation.constraints.iter().filter(|c| c.item.kind == ConstraintKind::Check);
    fields.chain(checks.map(|c| format!("{} {}", c.item.name, c.as_named().definition))).collect()
}
