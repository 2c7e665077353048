//! Whole statements that a person wrote, and the tables that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use sqlparser::ast::{
    self, Expr, ObjectName, ObjectNamePart, Query, SetExpr, Statement, TableFactor, Visit, VisitMut, Visitor,
    VisitorMut,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::{LONGEST, parser_reason};
use crate::name::{Ident, TableName, TableRef, serde_as_text};

/// One SELECT, with or without WITH, that writes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select(String);

impl FromStr for Select {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match &parse(text)?[..] {
            [Statement::Query(query)] if !query.locks.is_empty() => Err("it locks rows, which reading must not".into()),
            [statement @ Statement::Query(_)] if only_reads(statement) => Ok(Self(text.trim().to_owned())),
            [_] => Err("only a SELECT, which writes nothing, tells rows".into()),
            _ => Err("one SELECT is wanted".into()),
        }
    }
}

/// Whether no query in a statement writes or makes a table.
fn only_reads(statement: &Statement) -> bool {
    struct Writes;
    impl Visitor for Writes {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            match &*query.body {
                SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
        fn pre_visit_select(&mut self, select: &ast::Select) -> ControlFlow<()> {
            if select.into.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    statement.visit(&mut Writes).is_continue()
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Select => ToString::to_string);

fn parse(text: &str) -> Result<Vec<Statement>, String> {
    if text.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes; a function can hold it"));
    }
    Parser::parse_sql(&PostgreSqlDialect {}, text).map_err(|e| parser_reason(&e.to_string()))
}

fn ident(name: &ast::Ident) -> Ident {
    if name.quote_style.is_some() { Ident::new(&*name.value) } else { Ident::new(name.value.to_lowercase()) }
}

/// A table's name as it stands in a statement; none if it has more parts, or other ones.
fn reference(name: &ObjectName) -> Option<TableRef> {
    let parts: Vec<Ident> = name.0.iter().map(|part| part.as_ident().map(ident)).collect::<Option<_>>()?;
    match &parts[..] {
        [name] => Some(TableRef { schema: None, name: name.clone() }),
        [schema, name] => Some(TableRef { schema: Some(schema.clone()), name: name.clone() }),
        _ => None,
    }
}

/// What statements name.
#[derive(Debug, Default)]
pub struct Named {
    /// Tables, in FROM and as targets.
    pub tables: BTreeSet<TableRef>,
    /// Names that WITH gives to queries.
    pub queries: BTreeSet<Ident>,
    /// Functions, and words that act as one, in lower case and without schema.
    pub functions: BTreeSet<String>,
    is_function: bool,
}

impl Visitor for Named {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.queries.extend(query.with.iter().flat_map(|w| &w.cte_tables).map(|table| ident(&table.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        // A function's name stands where a table's does.
        self.is_function = matches!(factor, TableFactor::Table { args: Some(_), .. });
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        if std::mem::take(&mut self.is_function) {
            self.functions.extend(name.0.last().map(|n| n.to_string().to_lowercase()));
        } else {
            self.tables.extend(reference(name));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            self.functions.extend(function.name.0.last().map(|n| n.to_string().to_lowercase()));
        }
        ControlFlow::Continue(())
    }
}

/// What the statements of a text name.
///
/// # Errors
/// When they cannot be parsed.
pub fn named(text: &str) -> Result<Named, String> {
    let mut named = Named::default();
    for statement in parse(text)? {
        let _ = statement.visit(&mut named);
    }
    let queries = &named.queries;
    named.tables.retain(|t| t.schema.is_some() || !queries.contains(&t.name));
    Ok(named)
}

/// What statements of a person do to rows.
#[derive(Debug, Default)]
pub struct Written {
    /// Fields that an UPDATE sets.
    pub set: BTreeSet<Ident>,
    /// Whether rows are deleted.
    pub deletes: bool,
    /// Whether there is more to it: rows that are added, or several things at once.
    pub more: bool,
}

/// What the statements of a text do to rows; none if they cannot be parsed.
#[must_use]
pub fn written(text: &str) -> Option<Written> {
    let mut written = Written::default();
    for statement in parse(text).ok()? {
        match &statement {
            Statement::Update(update) => {
                for assignment in &update.assignments {
                    let names = match &assignment.target {
                        ast::AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
                        ast::AssignmentTarget::Tuple(names) => names,
                    };
                    let last = |name: &ObjectName| name.0.last().and_then(|part| part.as_ident().map(ident));
                    written.set.extend(names.iter().filter_map(last));
                }
            }
            Statement::Delete(_) => written.deletes = true,
            _ => written.more = true,
        }
    }
    Some(written)
}

struct Rooting<'a> {
    names: &'a BTreeMap<TableRef, TableName>,
    is_function: bool,
}

impl VisitorMut for Rooting<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        self.is_function = matches!(factor, TableFactor::Table { args: Some(_), .. });
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
        if !std::mem::take(&mut self.is_function)
            && let Some(table) = reference(name).and_then(|named| self.names.get(&named))
        {
            let quoted = |part: &Ident| ObjectNamePart::Identifier(ast::Ident::with_quote('"', part.as_str()));
            name.0 = vec![quoted(&table.schema), quoted(&table.name)];
        }
        ControlFlow::Continue(())
    }
}

/// The statements of a text, each with the tables that `names` knows under their full names.
///
/// # Errors
/// When they cannot be parsed.
pub fn rooted(text: &str, names: &BTreeMap<TableRef, TableName>) -> Result<Vec<String>, String> {
    let mut statements = parse(text)?;
    for statement in &mut statements {
        let _ = statement.visit(&mut Rooting { names, is_function: false });
    }
    Ok(statements.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_query_that_reads_tells_rows() {
        for right in [
            "SELECT a FROM b",
            "WITH x AS (SELECT 1) SELECT * FROM x;",
            "VALUES (1), (2)",
            "SELECT 1 UNION ALL SELECT 2",
        ] {
            assert!(right.parse::<Select>().is_ok(), "{right}: {:?}", right.parse::<Select>());
        }
        for wrong in [
            "",
            "SELECT 1; SELECT 2",
            "DELETE FROM a",
            "WITH d AS (DELETE FROM a RETURNING *) SELECT * FROM d",
            "SELECT a INTO b FROM c",
            "SELECT a FROM b FOR UPDATE",
        ] {
            assert!(wrong.parse::<Select>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_table_is_found_and_gets_its_full_name() {
        let text = "WITH x AS (SELECT id FROM A WHERE EXISTS (SELECT FROM \"B c\"))
            SELECT a.v, f.n, (SELECT max(n) FROM s.d) FROM a JOIN x USING (id), generate_series(1, 2) AS f (n)";
        let found = named(text).expect("parses");
        let tables: Vec<String> = found.tables.iter().map(ToString::to_string).collect();
        assert_eq!(tables, ["B c", "a", "s.d"]);
        assert_eq!(found.functions, BTreeSet::from(["generate_series".to_owned(), "max".to_owned()]));
        let full = |t: &TableRef| TableName::new("p q", t.name.as_str());
        let names = found.tables.iter().map(|t| (t.clone(), full(t))).collect();
        assert_eq!(
            rooted(text, &names).expect("parses").concat(),
            "WITH x AS (SELECT id FROM \"p q\".\"a\" WHERE EXISTS (SELECT FROM \"p q\".\"B c\")) SELECT a.v, f.n, (SELECT max(n) FROM \"p q\".\"d\") FROM \"p q\".\"a\" JOIN x USING(id), generate_series(1, 2) AS f (n)"
        );
        let text = "INSERT INTO a (x) SELECT NEW.x FROM b; UPDATE a SET x = NEW.x FROM b WHERE a.id = OLD.id; DELETE FROM a USING b WHERE a.id = OLD.id; MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE";
        let found = named(text).expect("parses");
        assert_eq!(found.tables.len(), 2, "{found:?}");
        let names = found.tables.iter().map(|t| (t.clone(), full(t))).collect();
        assert_eq!(rooted(text, &names).expect("parses").join("; ").matches("\"p q\".").count(), 8);
    }
}
