//! `sql`: a table that a SELECT of the user tells and statements of the user write, for what no other refactoring says.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::create_table::elements;
use crate::catalogue::draft::Draft;
use crate::catalogue::drop_table::DropTable;
use crate::catalogue::{Refactor, Refactoring, entangled};
use crate::fact::{Claim, Fact, LossKind, Words};
use crate::name::{Ident, TableName, TableRef};
use crate::refusal::Refusal;
use crate::relation::{Attached, Relation, Rows};
use crate::schema::element::Element;
use crate::schema::{Constraint, ConstraintKind, Field, Table};
use crate::sql::changes::Changes;
use crate::sql::tables::{Named, Select, named, rooted};
use crate::version::{Made, RemarkKind, Told, Version};

/// Tell a table by SQL.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sql {
    /// Table that the new shape gets
    pub table: TableRef,
    /// Its fields and rules, each as in CREATE TABLE; a primary key must be among them
    #[arg(required = true, value_name = "ELEMENT")]
    pub elements: Vec<Element>,
    /// SELECT that tells its rows: one column for each field, of the same name and type
    #[arg(long, value_name = "SELECT")]
    pub view: Select,
    /// Statements that store a new row, `NEW`; without them no row can be inserted until the table is real
    #[arg(long, value_name = "SQL")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insert: Option<Changes>,
    /// Statements that store in the place of `OLD` what `NEW` says
    #[arg(long, value_name = "SQL")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Changes>,
    /// Statements that take `OLD` away
    #[arg(long, value_name = "SQL")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<Changes>,
    /// Table that the new shape no longer has, since this one stands for it; once for each
    #[arg(long, value_name = "TABLE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<TableRef>,
    /// The way back to the one table that is replaced: SELECT that tells its rows from this one
    #[arg(long, value_name = "SELECT")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Select>,
    /// Statements that store what old code then inserts
    #[arg(long, value_name = "SQL", requires = "back")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_insert: Option<Changes>,
    /// Statements that store what old code then updates
    #[arg(long, value_name = "SQL", requires = "back")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_update: Option<Changes>,
    /// Statements that take away what old code then deletes
    #[arg(long, value_name = "SQL", requires = "back")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_delete: Option<Changes>,
}

impl Refactor for Sql {
    fn wish(&self) -> String {
        format!("tell table `{}` by SQL", self.table)
    }

    fn slug(&self) -> String {
        format!("sql-{}", self.table.name.as_str())
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let names = self.names(before)?;
        let replaced = self.replaces.iter().map(|t| untouched(before, t)).collect::<Result<Vec<_>, _>>()?;
        let mut after = before.clone();
        self.replace(step, &mut after, &replaced)?;
        let name = after.free_name(&self.table)?;
        let physical = after.new_table(step, &name.name);
        let mut draft = Draft::new(&after, &name, &physical);
        draft.fill(&self.elements, false)?;
        let Draft { mut table, sequences, .. } = draft;
        if let [one] = &replaced[..] {
            let old = before.table(one);
            table.owner.clone_from(&old.owner);
            table.grants.clone_from(&old.grants);
        }
        let (foreign, own): (Vec<_>, Vec<_>) =
            table.constraints.drain(..).partition(|c| matches!(c.kind, ConstraintKind::Foreign(_)));
        table.constraints = own;
        foreign.iter().try_for_each(|c| must_be_plain(c, &physical))?;
        let numbers = numbers(&after, &table, &replaced);
        let told = Told { numbers, ..self.told(step, &table, &name, &physical, &names)? };
        note_facts(step, &mut after, &name, &table);
        after.make(Made { step: step.to_owned(), table: physical, restores: None }, &name, table, sequences);
        let at = after.told.len();
        let relation = after.change(&name, step);
        relation.rows = Rows::Told(at);
        relation.constraints.extend(foreign.iter().map(|c| Attached::new(step, c.clone())));
        for constraint in &foreign {
            note_reference(step, &mut after, constraint);
        }
        self.remark(step, &mut after, &name, &told, &replaced);
        after.told.push(told);
        Ok(after)
    }

    fn inverse(&self, _: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let schema = self.table.schema.clone().or_else(|| before.schema.search_path.first().cloned());
        let table = TableRef { schema, name: self.table.name.clone() };
        match (&self.replaces[..], &self.back) {
            ([], _) => Ok(Refactoring::DropTable(DropTable { table })),
            ([one], Some(back)) => {
                let relation = before.find_plain(one)?;
                Ok(Refactoring::Sql(Self {
                    table: entangled::reference(&relation.name),
                    elements: elements(before, relation)?,
                    view: back.clone(),
                    insert: self.back_insert.clone(),
                    update: self.back_update.clone(),
                    delete: self.back_delete.clone(),
                    replaces: vec![table],
                    back: Some(self.view.clone()),
                    back_insert: self.insert.clone(),
                    back_update: self.update.clone(),
                    back_delete: self.delete.clone(),
                }))
            }
            ([_], None) => Err(Refusal::Other {
                why: "it names no way back".into(),
                hint: Some("write it down as a refactoring of its own; the replaced table is kept".into()),
            }),
            _ => Err(Refusal::Other {
                why: "several tables would have to come back, and SQL tells one".into(),
                hint: Some("write a refactoring for each; the replaced tables are kept".into()),
            }),
        }
    }
}

/// A table that SQL may name: as it is in the database.
fn untouched<'v>(before: &'v Version, wanted: &TableRef) -> Result<&'v Relation, Refusal> {
    let relation = before.find_plain(wanted)?;
    match relation.touched_by.last() {
        None => Ok(relation),
        Some(step) => Err(Refusal::Other {
            why: format!("{step} changed `{}` and is not real yet", relation.name.short()),
            hint: Some("materialize that refactoring first: `refactor materialize`".into()),
        }),
    }
}

/// A foreign key that a put-back can keep.
fn must_be_plain(constraint: &Constraint, itself: &TableName) -> Result<(), Refusal> {
    let ConstraintKind::Foreign(key) = &constraint.kind else { return Ok(()) };
    let odd = if key.table == *itself {
        "refers to its own table"
    } else if constraint.deferrable {
        "is deferrable"
    } else if key.match_full && constraint.fields.len() > 1 {
        "is MATCH FULL"
    } else {
        return Ok(());
    };
    Err(Refusal::Other {
        why: format!("the foreign key `{}` {odd}, which only a real table can keep", constraint.name),
        hint: Some("leave it out, and add it when this is materialized: `refactor add-foreign-key`".into()),
    })
}

impl Sql {
    /// All that is written, with the option that it stands in.
    fn statements(&self) -> Vec<(&'static str, String)> {
        let put = [("--insert", &self.insert), ("--update", &self.update), ("--delete", &self.delete)];
        let put = put.into_iter().filter_map(|(option, sql)| Some((option, sql.as_ref()?.to_string())));
        std::iter::once(("--view", self.view.to_string())).chain(put).collect()
    }

    /// The tables that the SQL names.
    fn names(&self, before: &Version) -> Result<BTreeMap<TableRef, TableName>, Refusal> {
        let mut names = BTreeMap::new();
        for (option, text) in self.statements() {
            let Named { tables, queries, .. } = named(&text).map_err(|why| unreadable(option, &why))?;
            for table in tables {
                names.insert(table.clone(), untouched(before, &table)?.base.clone());
            }
            let is_table = |q: &&Ident| before.relations.keys().any(|t| t.name == **q);
            if let Some(both) = queries.iter().find(is_table) {
                return Err(Refusal::Other {
                    why: format!("in `{option}` WITH calls a query `{both}`, which is a table's name too"),
                    hint: Some("call that query otherwise".into()),
                });
            }
        }
        Ok(names)
    }

    /// Takes the replaced tables away, those that refer to others first.
    fn replace(&self, step: &str, after: &mut Version, replaced: &[&Relation]) -> Result<(), Refusal> {
        let fate = format!("was replaced by `{}`", self.table);
        let mut open: Vec<&Relation> = replaced.to_vec();
        while !open.is_empty() {
            let refers = |to: &Relation| {
                open.iter().any(|r| r.base != to.base && r.foreign_keys().any(|(_, key)| key.table == to.base))
            };
            let at = open.iter().position(|r| !refers(r)).unwrap_or(0);
            after.drop_relation(step, open.remove(at), &fate, LossKind::Replaced)?;
            if let Some(loss) = after.losses.last_mut() {
                loss.words.other = loss.words.table.renamed(self.table.name.clone());
            }
        }
        Ok(())
    }

    fn told(
        &self,
        step: &str,
        table: &Table,
        name: &TableName,
        physical: &TableName,
        names: &BTreeMap<TableRef, TableName>,
    ) -> Result<Told, Refusal> {
        let mut unique = Vec::new();
        let mut key = None;
        for constraint in &table.constraints {
            if constraint.definition.contains("NULLS NOT DISTINCT") {
                return Err(Refusal::Other {
                    why: format!("`{}` takes NULLs for equal, which only a real table can keep", constraint.name),
                    hint: Some("leave it out, and add it when this is materialized".into()),
                });
            }
            match constraint.kind {
                ConstraintKind::Primary => {
                    key = Some(constraint.fields.clone());
                    unique.insert(0, (constraint.name.clone(), constraint.fields.clone()));
                }
                ConstraintKind::Unique => unique.push((constraint.name.clone(), constraint.fields.clone())),
                _ => {}
            }
        }
        let full = |option: &'static str, text: String| {
            let statements = rooted(&text, names).map_err(|why| unreadable(option, &why))?;
            Ok::<_, Refusal>(statements.join(";\n"))
        };
        let put = |option, sql: &Option<Changes>| sql.as_ref().map(|sql| full(option, sql.to_string())).transpose();
        let tables: BTreeSet<&TableName> = names.values().collect();
        Ok(Told {
            step: step.to_owned(),
            table: physical.clone(),
            select: full("--view", self.view.to_string())?,
            insert: put("--insert", &self.insert)?,
            update: put("--update", &self.update)?,
            delete: put("--delete", &self.delete)?,
            names: tables.into_iter().cloned().collect(),
            numbers: Vec::new(),
            key: key.ok_or_else(|| Refusal::NoKey { table: name.clone() })?,
            unique,
        })
    }

    fn remark(&self, step: &str, after: &mut Version, name: &TableName, told: &Told, replaced: &[&Relation]) {
        let shown = name.short();
        let stays = |t: &&TableName| !replaced.iter().any(|r| r.base == **t);
        for table in told.names.iter().filter(stays) {
            let text = format!(
                "`{shown}` follows `{}`, which stays, until this is materialized, and then no more",
                after.floor(table).map_or(table, |f| &f.shows).short()
            );
            after.remark(step, RemarkKind::Note, text);
        }
        let puts = [("inserted", &told.insert), ("updated", &told.update), ("deleted", &told.delete)];
        let without: Vec<&str> = puts.iter().filter(|(_, sql)| sql.is_none()).map(|(what, _)| *what).collect();
        if !without.is_empty() {
            let text = format!("no row of `{shown}` can be {} until this is materialized", without.join(" or "));
            after.remark(step, RemarkKind::Note, text);
        }
        if without.len() < puts.len() {
            let tables: Vec<String> = told.names.iter().map(|t| format!("`{}`", t.short())).collect();
            let text = format!(
                "who writes `{shown}` locks {} against other writers until the transaction ends, and must be in READ COMMITTED",
                tables.join(", ")
            );
            after.remark(step, RemarkKind::Note, text);
        }
        for relation in replaced {
            let table = after.schema.tables[&relation.base].clone();
            for index in table.indexes.iter().filter(|i| i.constraint.is_none()) {
                after.remark(step, RemarkKind::Lost, format!("index `{}`", index.name));
            }
            let others = |f: &Field| f.grants.iter().any(|g| g.role != table.owner);
            if table.fields.iter().any(others) {
                let text = format!("privileges on single fields of `{}`", relation.name.short());
                after.remark(step, RemarkKind::Lost, text);
            }
            for trigger in &table.triggers {
                let text = format!("trigger `{}` of `{}`", trigger.name, relation.name.short());
                after.remark(step, RemarkKind::Lost, text);
            }
        }
        for (field, sequence) in &told.numbers {
            let text = format!(
                "`{shown}.{field}` is numbered by `{}` until this is materialized, and then goes on from its last number",
                sequence.short()
            );
            after.remark(step, RemarkKind::Note, text);
        }
        if !replaced.is_empty() && (self.back.is_none() || replaced.len() > 1) {
            after.remark(step, RemarkKind::Note, "no way back is known: there is no inverse once this is materialized");
        }
    }
}

/// Fields that are numbered anew, and by old code, too, each with the sequence of old code.
fn numbers(version: &Version, table: &Table, replaced: &[&Relation]) -> Vec<(Ident, TableName)> {
    let old = |name: &Ident| {
        let there = replaced.iter().flat_map(|r| &version.table(r).fields).filter(|f| f.sequence.is_some());
        let mut alike = there.filter(|f| f.name == *name);
        // Numbers of two tables are not numbers of one.
        alike.next().filter(|_| alike.next().is_none())?.sequence.clone()
    };
    let numbered = table.fields.iter().filter(|f| f.identity.is_some());
    numbered.filter_map(|f| Some((f.name.clone(), old(&f.name)?))).collect()
}

/// What a foreign key does not do yet.
fn note_reference(step: &str, after: &mut Version, constraint: &Constraint) {
    let ConstraintKind::Foreign(key) = &constraint.kind else { return };
    let far = after.over(&key.table).map_or_else(|| key.table.short(), |r| r.name.short());
    let text = format!(
        "deleting a row of `{far}` or changing its key asks nothing of `{}` and does nothing for it until this is real; a row left behind keeps it from materializing",
        constraint.name
    );
    after.remark(step, RemarkKind::Note, text);
}

fn unreadable(option: &str, why: &str) -> Refusal {
    Refusal::Expression(format!("`{option}` cannot be read: {why}"))
}

/// Every rule must hold for the rows that are told. Foreign keys say so themselves.
fn note_facts(step: &str, after: &mut Version, name: &TableName, table: &Table) {
    let in_key =
        |f: &Ident| table.constraints.iter().any(|c| c.kind == ConstraintKind::Primary && c.fields.contains(f));
    let required = table.fields.iter().filter(|f| f.not_null || in_key(&f.name)).map(|f| {
        Constraint::named(f.name.clone(), ConstraintKind::NotNull, vec![f.name.clone()], "NOT NULL".to_owned())
    });
    for rule in required.chain(table.constraints.iter().cloned()) {
        let field = rule.fields.first().cloned().unwrap_or_else(|| name.name.clone());
        let words = Words { table: name.clone(), field, other: name.clone() };
        after.facts.push(Fact { step: step.to_owned(), claim: Claim::Keeps { rule, words } });
    }
}
