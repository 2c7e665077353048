//! Names in a statement, as they are read and written.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, SelectItem, VisitMut, VisitorMut};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use crate::cli::impact::lens::Lens;
use crate::name::{Ident, TableName};

/// Stands before a name that is not looked up.
pub const HELD: char = '\u{1}';

/// A name as the catalogue has it.
pub fn folded(name: &ast::Ident) -> Ident {
    if name.quote_style.is_some() { Ident::new(&*name.value) } else { Ident::new(name.value.to_lowercase()) }
}

/// A name as it is written.
pub fn written(name: &Ident) -> ast::Ident {
    if name.to_string().starts_with('"') {
        ast::Ident::with_quote('"', name.as_str())
    } else {
        ast::Ident::new(name.as_str())
    }
}

/// The parts of a name.
pub fn parts(name: &ast::ObjectName) -> Vec<Ident> {
    name.0.iter().filter_map(|part| part.as_ident().map(folded)).collect()
}

/// `field`
pub fn single(field: &Ident) -> Expr {
    Expr::Identifier(written(field))
}

/// `row.field`
pub fn compound(row: &Ident, field: &Ident) -> Expr {
    Expr::CompoundIdentifier(vec![written(row), written(field)])
}

/// A table as a statement names it: by itself where its schema is on the path.
pub fn table(lens: &Lens, table: &TableName) -> String {
    object(lens, table).to_string()
}

/// The same as a part of a statement.
pub fn object(lens: &Lens, table: &TableName) -> ast::ObjectName {
    let table = lens.named(table);
    let on_path = lens.version.schema.search_path.contains(&table.schema);
    let schema = (!on_path).then(|| written(&table.schema));
    ast::ObjectName::from(schema.into_iter().chain([written(&table.name)]).collect::<Vec<_>>())
}

/// A name that is not taken.
pub fn free(name: &Ident, taken: impl Fn(&Ident) -> bool) -> Ident {
    let more = (2..).map(|n| Ident::new(format!("{}_{n}", name.as_str())));
    std::iter::once(name.clone()).chain(more).find(|name| !taken(name)).unwrap_or_else(|| name.clone())
}

/// An expression from its text.
pub fn parsed(text: &str) -> Option<Expr> {
    let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?;
    parser.parse_expr().ok()
}

/// A statement from its text.
pub fn statement(text: &str) -> Option<ast::Statement> {
    Parser::parse_sql(&PostgreSqlDialect {}, text).ok()?.pop()
}

/// The names by which a value is called that has none of its own.
pub fn implied(expr: &Expr) -> Option<Vec<Ident>> {
    match expr {
        Expr::Identifier(name) => Some(vec![folded(name)]),
        Expr::CompoundIdentifier(names) => Some(names.iter().map(folded).collect()),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => implied(expr),
        _ => None,
    }
}

/// The names of what is selected; none where that cannot be told.
pub fn outputs(items: &[SelectItem]) -> Option<Vec<Ident>> {
    let mut names = Vec::new();
    for item in items {
        match item {
            SelectItem::ExprWithAlias { alias, .. } => names.push(folded(alias)),
            SelectItem::UnnamedExpr(Expr::Function(function)) => names.extend(parts(&function.name).pop()),
            SelectItem::UnnamedExpr(expr) => names.extend(implied(expr).and_then(|mut n| n.pop())),
            _ => return None,
        }
    }
    Some(names)
}

/// The names of what a query gives.
pub fn given_by(query: &ast::Query) -> Option<Vec<Ident>> {
    let mut body = &*query.body;
    loop {
        match body {
            ast::SetExpr::Select(select) => return outputs(&select.projection),
            ast::SetExpr::SetOperation { left, .. } => body = left,
            ast::SetExpr::Query(query) => body = &query.body,
            _ => return None,
        }
    }
}

/// Does something with each bare name that a query is ordered by.
pub fn each_bare(order: &mut ast::OrderBy, mut work: impl FnMut(&mut ast::Ident)) {
    if let ast::OrderByKind::Expressions(all) = &mut order.kind {
        for one in all {
            if let Expr::Identifier(name) = &mut one.expr {
                work(name);
            }
        }
    }
}

/// An expression of ours over the row `refactor_row`, for the row of a statement: with tables as the statement would name them.
pub fn for_row(lens: &Lens, mut expr: Expr, row: &Ident) -> Expr {
    let _ = VisitMut::visit(&mut expr, &mut ForRow { lens, row });
    expr
}

struct ForRow<'a> {
    lens: &'a Lens,
    row: &'a Ident,
}

impl ForRow<'_> {
    /// A name of ours that is the row's, too, gives way.
    fn apart(&self, name: &mut ast::Ident) {
        if folded(name) == *self.row {
            name.value += "_2";
        }
    }
}

impl VisitorMut for ForRow<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, name: &mut ast::ObjectName) -> ControlFlow<()> {
        if let [schema, table] = &parts(name)[..] {
            *name = object(self.lens, &TableName { schema: schema.clone(), name: table.clone() });
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut ast::TableFactor) -> ControlFlow<()> {
        if let ast::TableFactor::Table { alias: Some(alias), .. }
        | ast::TableFactor::Derived { alias: Some(alias), .. } = factor
        {
            self.apart(&mut alias.name);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(names) = expr
            && let Some(first) = names.first_mut()
        {
            if first.value == "refactor_row" {
                *first = written(self.row);
            } else {
                self.apart(first);
            }
        }
        ControlFlow::Continue(())
    }
}

/// ` AS name`
pub fn factor_alias(name: &Ident) -> Option<ast::TableAlias> {
    match from_of(&format!("SELECT 1 FROM t AS {name}"))?.into_iter().next()?.relation {
        ast::TableFactor::Table { alias, .. } => alias,
        _ => None,
    }
}

/// What a SELECT reads from.
pub fn from_of(text: &str) -> Option<Vec<ast::TableWithJoins>> {
    let ast::Statement::Query(query) = statement(text)? else { return None };
    let ast::SetExpr::Select(select) = *query.body else { return None };
    Some(select.from)
}

/// Whether a value is told by the row.
pub fn reads_names(expr: &Expr) -> bool {
    let found = ast::visit_expressions(expr, |e| match e {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}
