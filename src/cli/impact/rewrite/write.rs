//! Statements that write: what goes to another table is a statement of its own.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Assignment, AssignmentTarget, Expr, FromTable, Statement, TableObject, UpdateTableFromKind,
};

use super::Writer;
use super::insert::gather;
use super::names::{self, folded, parts, written};
use super::scope::{Level, Scope};
use crate::cli::impact::lens::{Found, Hop, Told};
use crate::name::{Ident, TableName};

/// A value that goes to another table.
pub(super) struct Moved {
    hops: Vec<Hop>,
    column: Ident,
    value: Expr,
}

impl Writer<'_> {
    pub(super) fn open_write(&mut self, statement: &mut Statement) {
        let mut scope = Scope::new(Level::Statement, self.opened, true);
        self.opened += 1;
        let returning = match statement {
            Statement::Update(update) => {
                self.sources(std::slice::from_mut(&mut update.table), &mut scope);
                if let Some(UpdateTableFromKind::AfterSet(from)) = &mut update.from {
                    self.sources(from, &mut scope);
                }
                &mut update.returning
            }
            Statement::Delete(delete) => {
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &mut delete.from;
                self.sources(from, &mut scope);
                if let Some(using) = &mut delete.using {
                    self.sources(using, &mut scope);
                }
                &mut delete.returning
            }
            Statement::Insert(insert) => {
                let TableObject::TableName(name) = &insert.table else { return };
                let alias = insert.table_alias.as_ref().map(|a| format!(" AS {}", written(&folded(&a.alias))));
                let text = format!("SELECT 1 FROM {name}{}", alias.unwrap_or_default());
                let Some(mut from) = names::from_of(&text) else { return };
                self.sources(&mut from, &mut scope);
                let mut excluded = names::from_of(&format!("SELECT 1 FROM {name} AS excluded")).unwrap_or_default();
                self.sources(&mut excluded, &mut scope);
                if let Some(ast::TableFactor::Table { name, .. }) = from.first().map(|t| &t.relation) {
                    insert.table = TableObject::TableName(name.clone());
                }
                self.scopes.push(scope);
                let outer = self.scopes.last_mut().map(|s| s.sources.pop());
                let mut returning = insert.returning.take();
                if let Some(items) = &mut returning {
                    self.items(items);
                }
                insert.returning = returning;
                if let (Some(scope), Some(Some(excluded))) = (self.scopes.last_mut(), outer) {
                    scope.sources.push(excluded);
                }
                return;
            }
            Statement::Merge(merge) => {
                self.source(&mut merge.table, None, &mut scope);
                self.source(&mut merge.source, None, &mut scope);
                self.scopes.push(scope);
                return;
            }
            _ => return,
        };
        if scope.sources.first().is_some_and(|s| s.is_query) {
            self.trouble("the rows of the table are in several tables now, or among others: write to these");
        }
        self.scopes.push(scope);
        let mut items = returning.take();
        if let Some(items) = &mut items {
            self.items(items);
        }
        *returning = items;
    }

    pub(super) fn close_write(&mut self, statement: &mut Statement) {
        if !self.scopes.last().is_some_and(|s| s.level == Level::Statement) {
            return;
        }
        match statement {
            Statement::Update(update) => self.update(update),
            Statement::Insert(insert) => self.insert(insert),
            Statement::Merge(merge) => self.merge(merge),
            _ => {}
        }
        self.close();
    }

    /// The changed table that is written to, and what it is called.
    pub(super) fn target(&self) -> Option<(TableName, Ident)> {
        let source = self.scopes.last()?.sources.first()?;
        let table = source.table.clone().filter(|t| self.lens.touches(t).is_some())?;
        Some((table, source.shown.clone()))
    }

    pub(super) fn told_elsewhere(&mut self, table: &TableName, field: &Ident) {
        self.trouble(format!("`{}.{field}` is told by other rows now: write to these", table.short()));
    }

    pub(super) fn gone(&mut self, table: &TableName, field: &Ident) {
        let by = self.lens.change(table, field).map(|c| c.steps.join(", ")).unwrap_or_default();
        self.trouble(format!("`{}.{field}` has no place in the new shape ({by})", table.short()));
    }

    fn update(&mut self, update: &mut ast::Update) {
        let Some((table, row)) = self.target() else { return };
        let (kept, moved) = self.assigned(&table, &row, std::mem::take(&mut update.assignments));
        update.assignments = kept;
        if moved.is_empty() {
            return;
        }
        if self.depth > 1 {
            return self.trouble("a part of a WITH cannot become two statements");
        }
        if update.assignments.is_empty() && update.returning.is_some() {
            return self.trouble("RETURNING of a row whose change goes to another table");
        }
        let (listed, moved): (Vec<Moved>, Vec<Moved>) =
            moved.into_iter().partition(|m| self.is_listed(&table, &m.hops));
        let mut lists = Vec::new();
        for one in listed {
            if names::reads_names(&one.value) {
                return self.trouble("a value of the row itself goes to a table of values");
            }
            gather(&mut lists, &one.hops[0], (one.column, one.value.to_string()));
        }
        for (hop, given) in lists {
            for (near, value) in self.listed(&table, &hop, &given, Some(&row)) {
                let target = AssignmentTarget::ColumnName(ast::ObjectName::from(vec![written(&near)]));
                update.assignments.push(Assignment { target, value });
            }
        }
        let asked = update.selection.as_ref().is_some_and(|s| Self::asks(s, &moved));
        for one in moved {
            if let Some(statement) = self.elsewhere(update, &row, &one) {
                if asked { self.after.push(statement) } else { self.before.push(statement) }
            }
        }
        self.gone = update.assignments.is_empty();
    }

    /// Of a MERGE only names change.
    fn merge(&mut self, merge: &mut ast::Merge) {
        let Some((table, row)) = self.target() else { return };
        for clause in &mut merge.clauses {
            match &mut clause.action {
                ast::MergeAction::Update(ast::MergeUpdateExpr { kind: ast::MergeUpdateKind::Set(all), .. }) => {
                    let (kept, moved) = self.assigned(&table, &row, std::mem::take(all));
                    *all = kept;
                    if !moved.is_empty() {
                        self.trouble("MERGE of a field that is elsewhere");
                    }
                }
                ast::MergeAction::Insert(insert) => {
                    for column in &mut insert.columns {
                        let Some(field) = parts(column).pop() else { continue };
                        self.said.fields.insert((table.clone(), field.clone()));
                        match self.found(&table, &field) {
                            Found::Here(now) => *column = ast::ObjectName::from(vec![written(&now)]),
                            _ => self.trouble("MERGE of a field that is elsewhere"),
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether a way leads to a list of values, by a key that only the new shape has.
    pub(super) fn is_listed(&self, table: &TableName, hops: &[Hop]) -> bool {
        let fields = self.lens.fields(table);
        let is_old = |near: &Ident| fields.iter().any(|f| self.lens.find(table, f) == Found::Here(near.clone()));
        matches!(hops, [hop] if !hop.on.iter().all(|(near, _)| is_old(near)))
    }

    /// Whether a condition asks for what is written.
    fn asks(selection: &Expr, moved: &[Moved]) -> bool {
        let mut asks = false;
        let _ = ast::visit_expressions(selection, |e| {
            if let Expr::CompoundIdentifier(names) = e {
                asks |= names.last().is_some_and(|n| moved.iter().any(|m| m.column == folded(n)));
            }
            ControlFlow::<()>::Continue(())
        });
        asks
    }

    /// What is assigned in the row itself, and what elsewhere.
    pub(super) fn assigned(
        &mut self,
        table: &TableName,
        row: &Ident,
        all: Vec<Assignment>,
    ) -> (Vec<Assignment>, Vec<Moved>) {
        let (mut kept, mut moved) = (Vec::new(), Vec::new());
        let mut told: Vec<(Told, BTreeMap<Ident, String>)> = Vec::new();
        for mut one in all {
            let AssignmentTarget::ColumnName(name) = &one.target else {
                self.trouble("several fields at once: assign each by itself");
                continue;
            };
            let Some(field) = parts(name).pop() else { continue };
            self.said.fields.insert((table.clone(), field.clone()));
            match self.found(table, &field) {
                Found::Here(now) => {
                    one.target = AssignmentTarget::ColumnName(ast::ObjectName::from(vec![written(&now)]));
                    kept.push(one);
                }
                Found::There(hops, column) => moved.push(Moved { hops, column, value: one.value }),
                Found::Told | Found::Retyped(_) => match self.lens.shapes(table, &field) {
                    Some(shapes) => {
                        let known = told.iter().position(|(t, _)| *t == shapes).unwrap_or(told.len());
                        if known == told.len() {
                            told.push((shapes, BTreeMap::new()));
                        }
                        told[known].1.insert(field, format!("({})", one.value));
                    }
                    None => self.told_elsewhere(table, &field),
                },
                Found::Gone => self.gone(table, &field),
            }
        }
        for (shapes, values) in told {
            for (field, value) in self.shaped(table, Some(row), &shapes, &values) {
                let target = AssignmentTarget::ColumnName(ast::ObjectName::from(vec![written(&field)]));
                kept.push(Assignment { target, value });
            }
        }
        (kept, moved)
    }

    /// The values of fields that others have told until now: of a row that is there, or is new.
    pub(super) fn shaped(
        &mut self,
        table: &TableName,
        row: Option<&Ident>,
        shapes: &Told,
        values: &BTreeMap<Ident, String>,
    ) -> Vec<(Ident, Expr)> {
        let mut given = Vec::new();
        for (field, value) in &shapes.to {
            let reads = value.fields();
            if !reads.iter().any(|f| values.contains_key(f)) {
                continue;
            }
            let mut all = values.clone();
            for missing in reads.iter().filter(|f| shapes.from.contains(f) && !values.contains_key(f)) {
                let was = row.and_then(|row| self.lens.told(table, missing, &row.to_string()));
                all.insert(missing.clone(), was.unwrap_or_else(|| "NULL".to_owned()));
            }
            match names::parsed(&value.with(&all)) {
                Some(value) => given.push((field.clone(), value)),
                None => self.trouble(format!("what `{field}` becomes cannot be written")),
            }
        }
        given
    }

    /// The statement that writes a value where it is now, for the rows that an UPDATE means.
    fn elsewhere(&mut self, update: &ast::Update, row: &Ident, moved: &Moved) -> Option<Statement> {
        let last = moved.hops.last()?;
        let target = match &update.table.relation {
            ast::TableFactor::Table { name, .. } => format!("{name}{}", Self::alias_of(&update.table)),
            _ => return None,
        };
        let mut from = target;
        let mut near = row.clone();
        for hop in &moved.hops[..moved.hops.len() - 1] {
            let on: Vec<String> = hop.on.iter().map(|(n, f)| format!("{}.{f} = {near}.{n}", hop.to.name)).collect();
            from += &format!(" JOIN {} ON {}", names::table(self.lens, &hop.to), on.join(" AND "));
            near = hop.to.name.clone();
        }
        if let Some(UpdateTableFromKind::AfterSet(others)) = &update.from {
            from += &others.iter().map(|o| format!(", {o}")).collect::<String>();
        }
        let condition = update.selection.as_ref().map(|s| format!(" WHERE {s}")).unwrap_or_default();
        let far = names::table(self.lens, &last.to);
        let (column, value) = (&moved.column, &moved.value);
        let text = if names::reads_names(value) {
            self.joined.extend(self.scopes.last().map(|s| s.number));
            let on: Vec<String> = last.on.iter().map(|(n, f)| format!("{}.{f} = {near}.{n}", last.to.name)).collect();
            let more = update.selection.as_ref().map(|s| format!(" AND ({s})")).unwrap_or_default();
            format!("UPDATE {far} SET {column} = {value} FROM {from} WHERE {}{more}", on.join(" AND "))
        } else {
            let row_of =
                |items: Vec<String>| if items.len() == 1 { items.concat() } else { format!("({})", items.join(", ")) };
            let key = row_of(last.on.iter().map(|(_, f)| f.to_string()).collect());
            let keys: Vec<String> = last.on.iter().map(|(n, _)| format!("{near}.{n}")).collect();
            format!(
                "UPDATE {far} SET {column} = {value} WHERE {key} IN (SELECT {} FROM {from}{condition})",
                keys.join(", ")
            )
        };
        self.note(last, column);
        let made = names::statement(&text);
        if made.is_none() {
            self.trouble(format!("the statement that writes `{}.{column}` cannot be said", last.to.short()));
        }
        made
    }

    pub(super) fn note(&mut self, hop: &Hop, column: &Ident) {
        let note = format!("`{}.{column}` is one value for all rows that refer to it", hop.to.short());
        if !self.said.notes.contains(&note) {
            self.said.notes.push(note);
        }
    }
}
