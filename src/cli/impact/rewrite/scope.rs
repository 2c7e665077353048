//! What a SELECT reads from, and what is joined to it.

use std::collections::BTreeSet;

use sqlparser::ast::{self, Expr, JoinConstraint, JoinOperator, TableFactor, TableWithJoins};

use super::Writer;
use super::names::{self, folded, parts, written};
use crate::cli::impact::lens::{Found, Hop, Lens};
use crate::name::{Ident, TableName};

/// What opened a scope.
#[derive(Debug, PartialEq, Eq)]
pub enum Level {
    /// A query that is one SELECT, which may not have been met yet.
    Query { waits: bool },
    /// A SELECT among others.
    Select,
    /// A statement that writes.
    Statement,
}

/// What names can mean.
#[derive(Debug)]
pub struct Scope {
    pub level: Level,
    /// Which of all scopes it is.
    pub number: usize,
    pub sources: Vec<Source>,
    /// The names of what it gives.
    pub outputs: Vec<Ident>,
    /// What it reads from, taken out meanwhile.
    pub from: Vec<TableWithJoins>,
    pub in_from: bool,
    /// Whether nothing can be joined.
    pub scalar: bool,
    /// Whether a join makes one field of two.
    pub merges: bool,
    /// Fields of two sources that are equal in every row; which source may be missing then, if one may.
    pairs: Vec<(Side, Side, Option<usize>)>,
}

type Side = (usize, Ident);

/// A table of FROM.
#[derive(Debug)]
pub struct Source {
    /// What old code calls it.
    pub called: Ident,
    /// What it is called now.
    pub shown: Ident,
    /// The table, if it is one.
    pub table: Option<TableName>,
    /// Its fields, if they are known.
    pub fields: Option<Vec<Ident>>,
    /// Where it stands: the item of FROM, and which of its joins (from 1).
    pub at: Option<(usize, usize)>,
    /// Whether a query takes its place.
    pub is_query: bool,
    /// The fields that the query must have.
    pub used: BTreeSet<Ident>,
    /// The tables that are joined to it: the way, and the name.
    ways: Vec<(Vec<Hop>, Ident, bool)>,
}

impl Scope {
    pub fn new(level: Level, number: usize, scalar: bool) -> Self {
        Self {
            level,
            number,
            sources: Vec::new(),
            outputs: Vec::new(),
            from: Vec::new(),
            in_from: false,
            scalar,
            merges: false,
            pairs: Vec::new(),
        }
    }

    /// Notes which fields are equal in every row.
    pub fn pair(&mut self, from: &[TableWithJoins], selection: Option<&Expr>) {
        let joins =
            || from.iter().enumerate().flat_map(|(i, t)| t.joins.iter().enumerate().map(move |(j, x)| (i, j + 1, x)));
        let at = |scope: &Self, i, j| scope.sources.iter().position(|s| s.at == Some((i, j)));
        let keeps = |join: &ast::Join| {
            use JoinOperator::{CrossJoin, Inner, Join, Left, LeftOuter};
            matches!(join.join_operator, Join(_) | Inner(_) | CrossJoin(_) | Left(_) | LeftOuter(_))
        };
        if !joins().all(|(_, _, join)| keeps(join)) {
            self.scalar = true;
            return;
        }
        for (i, j, join) in joins() {
            let (constraint, missing) = match &join.join_operator {
                JoinOperator::Join(c) | JoinOperator::Inner(c) => (c, None),
                JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => (c, at(self, i, j)),
                _ => continue,
            };
            match constraint {
                JoinConstraint::On(on) => {
                    let all = conjuncts(on);
                    if missing.is_none() || all.len() == 1 {
                        let found: Vec<_> = all.into_iter().filter_map(|e| self.equal(e)).collect();
                        self.pairs.extend(found.into_iter().map(|(a, b)| (a, b, missing)));
                    }
                }
                JoinConstraint::Using(fields) => {
                    self.merges = true;
                    for field in fields.iter().filter_map(|f| parts(f).pop()) {
                        let has = |s: &Source| s.fields.as_ref().is_some_and(|all| all.contains(&field));
                        let (first, here) = (self.sources.iter().position(has), at(self, i, j));
                        let alone = missing.is_none() || fields.len() == 1;
                        if let (Some(first), Some(here)) = (first, here)
                            && alone
                            && first != here
                        {
                            self.pairs.push(((first, field.clone()), (here, field), missing));
                        }
                    }
                }
                JoinConstraint::Natural => {
                    self.merges = true;
                    self.scalar = true;
                }
                JoinConstraint::None => {}
            }
        }
        let found: Vec<_> =
            selection.map(conjuncts).unwrap_or_default().into_iter().filter_map(|e| self.equal(e)).collect();
        self.pairs.extend(found.into_iter().map(|(a, b)| (a, b, None)));
    }

    fn equal(&self, expr: &Expr) -> Option<(Side, Side)> {
        let Expr::BinaryOp { left, op: ast::BinaryOperator::Eq, right } = expr else { return None };
        let side = |e: &Expr| {
            let names = names::implied(e)?;
            let (field, of) = names.split_last()?;
            let has = |s: &Source| s.fields.as_ref().is_some_and(|f| f.contains(field));
            let of = of.last();
            let at = self.sources.iter().position(|s| has(s) && of.is_none_or(|of| s.called == *of))?;
            Some((at, field.clone()))
        };
        match (&**left, &**right) {
            (Expr::Cast { .. }, _) | (_, Expr::Cast { .. }) => None,
            (left, right) => Some((side(left)?, side(right)?)),
        }
    }

    /// A source that has the row which a hop leads to, already joined.
    fn has_joined(&self, lens: &Lens, at: usize, hop: &Hop) -> Option<usize> {
        let is = |side: &Side, source: usize, field: &Ident| {
            let table = self.sources[side.0].table.as_ref();
            side.0 == source && table.is_some_and(|t| lens.find(t, &side.1) == Found::Here(field.clone()))
        };
        (0..self.sources.len()).find(|other| {
            let table = self.sources[*other].table.as_ref();
            let is_there = table.is_some_and(|t| lens.base(t) == Some(lens.named(&hop.to)));
            is_there
                && *other != at
                && hop.on.iter().all(|(near, far)| {
                    self.pairs.iter().any(|(a, b, missing)| {
                        // A row of the source without the other one has none anyway; the other without it would have.
                        missing.is_none_or(|m| m == *other)
                            && (is(a, at, near) && is(b, *other, far) || is(b, at, near) && is(a, *other, far))
                    })
                })
        })
    }

    /// Joins what fields need.
    pub fn insert_joins(&self, lens: &Lens, from: &mut [TableWithJoins]) {
        let mut sources: Vec<&Source> = self.sources.iter().filter(|s| s.ways.iter().any(|w| w.2)).collect();
        sources.sort_by_key(|s| std::cmp::Reverse(s.at));
        for source in sources {
            let Some((item, join)) = source.at else { continue };
            let mut joins = Vec::new();
            for (hops, alias, _) in source.ways.iter().filter(|w| w.2) {
                let Some((hop, before)) = hops.split_last() else { continue };
                let near = if before.is_empty() {
                    Some(&source.shown)
                } else {
                    source.ways.iter().find(|w| w.0 == before).map(|w| &w.1)
                };
                let Some(near) = near else { continue };
                let on: Vec<String> = hop.on.iter().map(|(n, f)| format!("{alias}.{f} = {near}.{n}")).collect();
                let Some(on) = names::parsed(&on.join(" AND ")) else { continue };
                let mut name = names::table(lens, &hop.to);
                if *alias != hop.to.name {
                    name += &format!(" AS {alias}");
                }
                let Some(relation) = factor(&name) else { continue };
                let join_operator = JoinOperator::Left(JoinConstraint::On(on));
                joins.push(ast::Join { relation, global: false, join_operator });
            }
            if let Some(item) = from.get_mut(item) {
                let join = join.min(item.joins.len());
                item.joins.splice(join..join, joins);
            }
        }
    }
}

/// A table of FROM, from its text.
fn factor(text: &str) -> Option<TableFactor> {
    names::from_of(&format!("SELECT 1 FROM {text}"))?.into_iter().next().map(|t| t.relation)
}

fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::BinaryOp { left, op: ast::BinaryOperator::And, right } => [conjuncts(left), conjuncts(right)].concat(),
        Expr::Nested(inner) => conjuncts(inner),
        other => vec![other],
    }
}

/// Puts a query in the place of a table.
pub fn in_place(lens: &Lens, source: &Source, from: &mut [TableWithJoins]) -> Result<(), String> {
    let Some(table) = &source.table else { return Ok(()) };
    let no_way = || format!("the rows of `{}` are in several tables now, or among others", table.short());
    let wanted: BTreeSet<&Ident> = source.used.iter().collect();
    let all = lens.fields(table);
    let wanted = if wanted.is_empty() { all.iter().take(1).collect() } else { wanted };
    let query = lens.query(table, &wanted).ok_or_else(no_way)?;
    let mut derived = factor(&format!("({query}) AS {}", source.called)).ok_or_else(no_way)?;
    if let TableFactor::Derived { subquery, .. } = &mut derived {
        let inner = ast::Expr::Subquery(subquery.clone());
        if let ast::Expr::Subquery(named) = names::for_row(lens, inner, &Ident::new("")) {
            *subquery = named;
        }
    }
    let (item, join) = source.at.ok_or_else(no_way)?;
    let item = from.get_mut(item).ok_or_else(no_way)?;
    let place =
        if join == 0 { Some(&mut item.relation) } else { item.joins.get_mut(join - 1).map(|j| &mut j.relation) };
    *place.ok_or_else(no_way)? = derived;
    Ok(())
}

impl Writer<'_> {
    /// Reads what FROM has, and gives tables their new names.
    pub fn sources(&mut self, from: &mut [TableWithJoins], scope: &mut Scope) {
        for (item, table) in from.iter_mut().enumerate() {
            self.source(&mut table.relation, Some((item, 0)), scope);
            for (join, other) in table.joins.iter_mut().enumerate() {
                self.source(&mut other.relation, Some((item, join + 1)), scope);
            }
        }
    }

    pub fn source(&mut self, factor: &mut TableFactor, at: Option<(usize, usize)>, scope: &mut Scope) {
        let unknown = |called: Option<Ident>, fields| Source {
            shown: called.clone().unwrap_or_else(|| Ident::new("")),
            called: called.unwrap_or_else(|| Ident::new("")),
            table: None,
            fields,
            at,
            is_query: false,
            used: BTreeSet::new(),
            ways: Vec::new(),
        };
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let named = parts(name);
                let Some((own, schema)) = named.split_last() else { return };
                let alias_name = alias.as_ref().map(|a| folded(&a.name));
                let called = alias_name.clone().unwrap_or_else(|| own.clone());
                let with = self.withs.iter().rev().find(|(with, _)| schema.is_empty() && with == own);
                if let Some((_, fields)) = with {
                    return scope.sources.push(unknown(Some(called), fields.clone()));
                }
                let Some(table) = self.lens.table(schema.last(), own).cloned() else {
                    return scope.sources.push(unknown(Some(called), None));
                };
                self.said.tables.insert(table.clone());
                if !schema.is_empty() {
                    self.said.by_schema.insert(table.clone());
                }
                let mut source = unknown(Some(called.clone()), Some(self.lens.fields(&table)));
                if alias.as_ref().is_some_and(|a| !a.columns.is_empty()) {
                    source.fields = None;
                    return scope.sources.push(source);
                }
                if self.lens.touches(&table).is_some() {
                    match self.lens.base(&table) {
                        Some(base) => {
                            if base != table {
                                let taken = scope.sources.iter().any(|s| s.called == base.name);
                                if alias.is_none() && taken {
                                    *alias = names::factor_alias(&called);
                                } else if alias.is_none() {
                                    source.shown = base.name.clone();
                                }
                            }
                            *name = names::object(self.lens, &base);
                        }
                        None => source.is_query = true,
                    }
                }
                source.table = Some(table);
                scope.sources.push(source);
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let called = alias.as_ref().map(|a| folded(&a.name));
                let named = alias.as_ref().filter(|a| !a.columns.is_empty());
                let fields = match named {
                    Some(alias) => Some(alias.columns.iter().map(|c| folded(&c.name)).collect()),
                    None => names::given_by(subquery),
                };
                scope.sources.push(unknown(called, fields));
            }
            TableFactor::NestedJoin { table_with_joins, .. } => {
                self.source(&mut table_with_joins.relation, None, scope);
                for join in &mut table_with_joins.joins {
                    self.source(&mut join.relation, None, scope);
                }
            }
            TableFactor::Table { name, alias, .. } => {
                let called = alias.as_ref().map(|a| folded(&a.name)).or_else(|| parts(name).pop());
                scope.sources.push(unknown(called, None));
            }
            TableFactor::Function { alias, .. } | TableFactor::UNNEST { alias, .. } => {
                scope.sources.push(unknown(alias.as_ref().map(|a| folded(&a.name)), None));
            }
            _ => scope.sources.push(unknown(None, None)),
        }
    }

    /// The name of the row to which a way leads from a source.
    pub fn way(&mut self, scope: usize, at: usize, hops: &[Hop]) -> Option<Ident> {
        let mut row = None;
        let mut from = at;
        for length in 1..=hops.len() {
            let known = self.scopes[scope].sources[at].ways.iter().find(|w| w.0 == hops[..length]);
            if let Some((_, alias, _)) = known {
                row = Some(alias.clone());
                continue;
            }
            let reused = if length == 1 || row.is_some() {
                let reused = self.scopes[scope].has_joined(self.lens, from, &hops[length - 1]);
                reused.filter(|_| length == 1 || from != at)
            } else {
                None
            };
            let (alias, is_new) = if let Some(other) = reused {
                from = other;
                (self.scopes[scope].sources[other].shown.clone(), false)
            } else {
                let is = |s: &Source, name: &Ident| {
                    s.called == *name || s.shown == *name || s.ways.iter().any(|w| w.1 == *name)
                };
                let taken = |name: &Ident| self.scopes.iter().flat_map(|s| &s.sources).any(|s| is(s, name));
                (names::free(&hops[length - 1].to.name, taken), true)
            };
            if is_new {
                self.joined.insert(self.scopes[scope].number);
            }
            self.scopes[scope].sources[at].ways.push((hops[..length].to_vec(), alias.clone(), is_new));
            row = Some(alias);
        }
        row
    }

    /// How the target of a statement that writes is called.
    pub fn alias_of(table: &TableWithJoins) -> String {
        match &table.relation {
            TableFactor::Table { alias: Some(alias), .. } => format!(" AS {}", written(&folded(&alias.name))),
            _ => String::new(),
        }
    }
}
