//! A statement of old code, written for the new shape.

mod insert;
mod names;
mod scope;
mod write;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, SelectItem, Statement, VisitMut, VisitorMut};

use super::lens::{Found, Hop, Lens};
use crate::name::{Ident, TableName};
use names::{compound, folded, implied, outputs, parsed, single, written};
use scope::{Level, Scope, Source};

pub use names::parts;

/// A table in a schema.
pub fn object_in(schema: &Ident, table: &Ident) -> ast::ObjectName {
    ast::ObjectName::from(vec![written(schema), written(table)])
}

/// What a statement names, and how it is written for the new shape.
#[derive(Debug)]
pub struct Rewritten {
    /// The tables that it names.
    pub tables: BTreeSet<TableName>,
    /// Those of them that it names with their schema.
    pub by_schema: BTreeSet<TableName>,
    /// The fields of changed tables that it names.
    pub fields: BTreeSet<(TableName, Ident)>,
    /// Whether it asks for all fields of a changed table.
    pub wild: bool,
    /// What to write instead, in this order; or why nothing can be said.
    pub statements: Result<Vec<Statement>, String>,
    /// What is good to know of it.
    pub notes: Vec<String>,
}

/// How a statement is written anew.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Whether other tables may be joined; else each value is looked up by itself.
    pub joins: bool,
    /// Whether values get the types that they had.
    pub casts: bool,
}

/// Writes a statement anew.
pub fn rewrite(lens: &Lens, statement: &Statement, style: Style) -> Rewritten {
    let (said, joined) = Writer::new(lens, style, BTreeSet::new()).run(statement.clone());
    if joined.is_empty() { said } else { Writer::new(lens, style, joined).run(statement.clone()).0 }
}

/// Goes through a statement and changes it.
struct Writer<'l> {
    lens: &'l Lens,
    scopes: Vec<Scope>,
    /// Whether each query that is open has a scope, and how many names of WITH there were before it.
    queries: Vec<(bool, usize)>,
    withs: Vec<(Ident, Option<Vec<Ident>>)>,
    style: Style,
    /// How many scopes were opened until now.
    opened: usize,
    /// The scopes in which something will be joined, so that names need their tables.
    qualified: BTreeSet<usize>,
    /// The scopes in which something was joined.
    joined: BTreeSet<usize>,
    trouble: Option<String>,
    depth: usize,
    before: Vec<Statement>,
    after: Vec<Statement>,
    gone: bool,
    said: Rewritten,
}

impl<'l> Writer<'l> {
    fn new(lens: &'l Lens, style: Style, qualified: BTreeSet<usize>) -> Self {
        Self {
            lens,
            scopes: Vec::new(),
            queries: Vec::new(),
            withs: Vec::new(),
            style,
            opened: 0,
            qualified,
            joined: BTreeSet::new(),
            trouble: None,
            depth: 0,
            before: Vec::new(),
            after: Vec::new(),
            gone: false,
            said: Rewritten {
                tables: BTreeSet::new(),
                by_schema: BTreeSet::new(),
                fields: BTreeSet::new(),
                wild: false,
                statements: Ok(Vec::new()),
                notes: Vec::new(),
            },
        }
    }

    fn run(mut self, mut statement: Statement) -> (Rewritten, BTreeSet<usize>) {
        let _ = VisitMut::visit(&mut statement, &mut self);
        let main = (!self.gone).then_some(statement);
        let all = self.before.into_iter().chain(main).chain(self.after).collect();
        self.said.statements = self.trouble.map_or(Ok(all), Err);
        (self.said, self.joined)
    }

    fn trouble(&mut self, why: impl Into<String>) {
        self.trouble.get_or_insert(why.into());
    }

    /// Finds the field that a name means: its scope, its source, and the field.
    fn resolve(&self, names: &[Ident]) -> Option<(usize, usize, Ident)> {
        let (field, of) = names.split_last()?;
        for (at, scope) in self.scopes.iter().enumerate().rev() {
            let has = |s: &Source| s.fields.as_ref().is_some_and(|fields| fields.contains(field));
            let found = match of.last() {
                Some(called) => scope.sources.iter().position(|s| s.called == *called),
                None => scope.sources.iter().position(has),
            };
            match found {
                Some(source) => return has(&scope.sources[source]).then(|| (at, source, field.clone())),
                // Somebody else's field.
                None if of.is_empty() && scope.sources.iter().any(|s| s.fields.is_none()) => return None,
                None => {}
            }
        }
        None
    }

    /// What stands for a field in the new shape, if that is not what is written.
    fn value(&mut self, names: &[Ident]) -> Option<Expr> {
        let (scope, at, field) = self.resolve(names)?;
        let source = &self.scopes[scope].sources[at];
        let (shown, table) = (source.shown.clone(), source.table.clone());
        let qualify = self.qualified.contains(&self.scopes[scope].number);
        let as_it_is = (qualify && names.len() == 1).then(|| compound(&shown, &field));
        let Some(table) = table.filter(|t| self.lens.touches(t).is_some()) else { return as_it_is };
        self.said.fields.insert((table.clone(), field.clone()));
        if source.is_query {
            self.scopes[scope].sources[at].used.insert(field);
            return as_it_is;
        }
        match self.found(&table, &field) {
            Found::Here(now) if names.len() == 1 && !qualify => Some(single(&now)),
            Found::Here(now) => Some(compound(&shown, &now)),
            Found::There(hops, column) => {
                let scoped = &self.scopes[scope];
                let row = if self.style.joins && !scoped.in_from && !scoped.scalar && source.at.is_some() {
                    self.way(scope, at, &hops)
                } else {
                    None
                };
                match row {
                    Some(row) => Some(compound(&row, &column)),
                    None => Some(self.looked_up(&shown, &hops, &column)),
                }
            }
            Found::Told | Found::Retyped(_) => {
                let told = self.lens.told(&table, &field, "refactor_row").and_then(|t| parsed(&t));
                if told.is_none() {
                    self.trouble(format!("what tells `{}.{field}` cannot be read", table.short()));
                }
                told.map(|told| names::for_row(self.lens, told, &shown))
            }
            Found::Gone => {
                let by = self.lens.change(&table, &field).map(|c| c.steps.join(", ")).unwrap_or_default();
                self.trouble(format!("`{}.{field}` has no place in the new shape ({by})", table.short()));
                None
            }
        }
    }

    /// Where a field is; one of another type is itself, unless values must have the types that they had.
    fn found(&self, table: &TableName, field: &Ident) -> Found {
        match self.lens.find(table, field) {
            Found::Retyped(now) if !self.style.casts => Found::Here(now),
            found => found,
        }
    }

    /// A value in a row that another refers to, asked by itself.
    fn looked_up(&self, row: &Ident, hops: &[Hop], column: &Ident) -> Expr {
        let mut aliases: Vec<Ident> = vec![row.clone()];
        let mut from = String::new();
        let mut condition = String::new();
        for (i, hop) in hops.iter().enumerate() {
            let alias = names::free(&hop.to.name, |name| aliases.contains(name));
            let below = aliases.last().unwrap_or(row);
            let on: Vec<String> = hop.on.iter().map(|(near, far)| format!("{alias}.{far} = {below}.{near}")).collect();
            let table = names::table(self.lens, &hop.to);
            let table = if alias == hop.to.name { table } else { format!("{table} AS {alias}") };
            if i == 0 {
                from = table;
                condition = on.join(" AND ");
            } else {
                from += &format!(" JOIN {table} ON {}", on.join(" AND "));
            }
            aliases.push(alias);
        }
        let last = aliases.last().unwrap_or(row);
        let text = format!("(SELECT {last}.{column} FROM {from} WHERE {condition})");
        parsed(&text).unwrap_or_else(|| compound(last, column))
    }

    /// Opens a SELECT: its sources, and what it gives.
    fn open(&mut self, select: &mut ast::Select, level: Level) {
        let mut from = std::mem::take(&mut select.from);
        let mut scope = Scope::new(level, self.opened, !self.style.joins);
        self.opened += 1;
        scope.outputs = outputs(&select.projection).unwrap_or_default();
        self.sources(&mut from, &mut scope);
        scope.pair(&from, select.selection.as_ref());
        scope.in_from = true;
        self.scopes.push(scope);
        let _ = VisitMut::visit(&mut from, self);
        if let Some(scope) = self.scopes.last_mut() {
            scope.in_from = false;
            scope.from = from;
        }
        self.items(&mut select.projection);
    }

    /// Closes a scope; gives what it reads from.
    fn close(&mut self) -> Vec<ast::TableWithJoins> {
        let Some(mut scope) = self.scopes.pop() else { return Vec::new() };
        let mut from = std::mem::take(&mut scope.from);
        for source in scope.sources.iter().filter(|s| s.is_query) {
            if let Err(why) = scope::in_place(self.lens, source, &mut from) {
                self.trouble(why);
            }
        }
        scope.insert_joins(self.lens, &mut from);
        from
    }

    /// What a query gives keeps its names.
    fn items(&mut self, items: &mut Vec<SelectItem>) {
        let mut given = Vec::new();
        for item in std::mem::take(items) {
            let of = match &item {
                SelectItem::Wildcard(_) => Some(None),
                SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    names::parts(name).pop().map(Some)
                }
                _ => None,
            };
            match (of, item) {
                (Some(of), item) => self.all_fields(of.as_ref(), item, &mut given),
                (None, SelectItem::UnnamedExpr(expr)) => given.push(self.item(expr)),
                (None, item) => given.push(item),
            }
        }
        *items = given;
    }

    fn item(&self, expr: Expr) -> SelectItem {
        let names = implied(&expr);
        let is_other = names.as_ref().and_then(|n| self.resolve(n)).is_some_and(|(scope, at, field)| {
            let source = &self.scopes[scope].sources[at];
            let table = source.table.as_ref().filter(|t| self.lens.touches(t).is_some() && !source.is_query);
            table.is_some_and(|t| match self.found(t, &field) {
                Found::Here(now) | Found::There(_, now) => now != field,
                _ => true,
            })
        });
        match names.and_then(|n| n.last().cloned()).filter(|_| is_other) {
            Some(name) => SelectItem::ExprWithAlias { expr, alias: written(&name) },
            None => SelectItem::UnnamedExpr(expr),
        }
    }

    /// All fields of all sources, or of one: each by its name where the table has changed.
    fn all_fields(&mut self, of: Option<&Ident>, item: SelectItem, given: &mut Vec<SelectItem>) {
        let Some(scope) = self.scopes.last() else { return given.push(item) };
        let is_changed = |s: &Source| s.table.as_ref().is_some_and(|t| self.lens.touches(t).is_some());
        let wanted: Vec<&Source> = scope.sources.iter().filter(|s| of.is_none_or(|of| s.called == *of)).collect();
        if !wanted.iter().any(|s| is_changed(s)) {
            return given.push(item);
        }
        let merged = scope.merges && of.is_none();
        let mut fields = Vec::new();
        for source in wanted {
            match (&source.fields, is_changed(source)) {
                (Some(names), true) => fields.extend(names.iter().map(|f| Ok((source.called.clone(), f.clone())))),
                _ => fields.push(Err(source.shown.clone())),
            }
        }
        self.said.wild = true;
        if merged {
            self.trouble("`*` over a join with USING: name the fields");
        }
        let alone = self.scopes.last().is_some_and(|s| s.sources.len() == 1 && !self.qualified.contains(&s.number));
        for field in fields {
            given.push(match field {
                Ok((_, field)) if alone => self.item(single(&field)),
                Ok((source, field)) => self.item(compound(&source, &field)),
                Err(source) => SelectItem::QualifiedWildcard(
                    ast::SelectItemQualifiedWildcardKind::ObjectName(ast::ObjectName::from(vec![written(&source)])),
                    ast::WildcardAdditionalOptions::default(),
                ),
            });
        }
    }
}

impl VisitorMut for Writer<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
        let before = self.withs.len();
        for with in query.with.iter().flat_map(|w| &w.cte_tables) {
            let named: Vec<Ident> = with.alias.columns.iter().map(|c| folded(&c.name)).collect();
            let fields = if named.is_empty() { names::given_by(&with.query) } else { Some(named) };
            self.withs.push((folded(&with.alias.name), fields));
        }
        let opens = matches!(*query.body, ast::SetExpr::Select(_));
        self.queries.push((opens, before));
        if let ast::SetExpr::Select(select) = &mut *query.body {
            self.open(select, Level::Query { waits: true });
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
        let (opened, withs) = self.queries.pop().unwrap_or_default();
        if opened {
            let from = self.close();
            if let ast::SetExpr::Select(select) = &mut *query.body {
                select.from = from;
            }
        }
        self.withs.truncate(withs);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        match self.scopes.last_mut().map(|s| &mut s.level) {
            Some(Level::Query { waits }) if *waits => *waits = false,
            _ => self.open(select, Level::Select),
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        if self.scopes.last().is_some_and(|s| s.level == Level::Select) {
            select.from = self.close();
        }
        ControlFlow::Continue(())
    }

    // What is ordered by something that the query gives goes on so.
    fn pre_visit_order_by(&mut self, order: &mut ast::OrderBy) -> ControlFlow<()> {
        let given = self.scopes.last().map(|s| s.outputs.clone()).unwrap_or_default();
        names::each_bare(order, |name| {
            if given.contains(&folded(name)) {
                name.value.insert(0, names::HELD);
            }
        });
        ControlFlow::Continue(())
    }

    fn post_visit_order_by(&mut self, order: &mut ast::OrderBy) -> ControlFlow<()> {
        names::each_bare(order, |name| {
            if name.value.starts_with(names::HELD) {
                name.value.remove(0);
            }
        });
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let named: Option<Vec<Ident>> = match expr {
            Expr::Identifier(name) => Some(vec![folded(name)]),
            Expr::CompoundIdentifier(names) => Some(names.iter().map(folded).collect()),
            _ => None,
        };
        if let Some(value) = named.and_then(|named| self.value(&named)) {
            *expr = value;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &mut Statement) -> ControlFlow<()> {
        self.depth += 1;
        self.open_write(statement);
        ControlFlow::Continue(())
    }

    fn post_visit_statement(&mut self, statement: &mut Statement) -> ControlFlow<()> {
        self.close_write(statement);
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}
