//! One element of CREATE TABLE as a person writes it: a field with its rules, or a rule of the table.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sqlparser::ast::{
    self, ColumnOption, ConstraintReferenceMatchKind, GeneratedAs, GeneratedExpressionMode, ObjectName,
    ReferentialAction, Statement,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::Identity;
use crate::name::{Ident, TableRef};
use crate::sql::{Expression, ExpressionError, LONGEST, parser_reason};

/// A field or a rule, as text that is known to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element(String);

/// What an element says.
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    /// A field.
    Field(Box<FieldElement>),
    /// A rule of the table.
    Rule(RuleElement),
}

/// A field as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldElement {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub type_name: String,
    /// `COLLATE …`
    pub collation: Option<String>,
    /// `NOT NULL`
    pub not_null: bool,
    /// `DEFAULT …`
    pub default: Option<Expression>,
    /// `GENERATED … AS IDENTITY`
    pub identity: Option<Identity>,
    /// `GENERATED ALWAYS AS (…) STORED`, or virtual.
    pub generated: Option<(Expression, bool)>,
    /// Rules of this field alone.
    pub rules: Vec<RuleElement>,
}

/// A constraint as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleElement {
    /// `CONSTRAINT name`
    pub name: Option<Ident>,
    /// What it demands.
    pub rule: Rule,
}

/// What a constraint demands.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// `PRIMARY KEY (…)`
    Primary(Vec<Ident>),
    /// `UNIQUE (…)`, and whether NULLs are distinct.
    Unique(Vec<Ident>, bool),
    /// `CHECK (…)`
    Check(Expression),
    /// `FOREIGN KEY (…) REFERENCES …`
    Foreign(Reference),
}

/// A foreign key as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The referring fields.
    pub fields: Vec<Ident>,
    /// The table referred to.
    pub table: TableRef,
    /// Its fields; none for its primary key.
    pub referred: Vec<Ident>,
    /// `ON UPDATE`, as in [`crate::schema::ForeignKey`].
    pub on_update: char,
    /// `ON DELETE`
    pub on_delete: char,
    /// `MATCH FULL`
    pub match_full: bool,
    /// `DEFERRABLE`
    pub deferrable: bool,
    /// `INITIALLY DEFERRED`
    pub deferred: bool,
}

impl Element {
    /// What it says.
    ///
    /// # Errors
    /// When the grammar does not know it, or it is something that a table of this tool cannot have.
    pub fn read(&self) -> Result<Meaning, ExpressionError> {
        let text = &self.0;
        let syntax = |reason: String| ExpressionError::Element { text: text.clone(), reason };
        if text.len() > LONGEST {
            return Err(syntax(format!("it is longer than {LONGEST} bytes")));
        }
        if let Some(why) = after_the_fields(text) {
            return Err(syntax(why));
        }
        let wrapped = format!("CREATE TABLE t ({text})");
        let parse = |e: sqlparser::parser::ParserError| syntax(parser_reason(&e.to_string()));
        let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(&wrapped).map_err(parse)?;
        let statement = parser.parse_statement().map_err(parse)?;
        let Statement::CreateTable(table) = statement else { return Err(syntax("it is none".into())) };
        if parser.peek_token().token != Token::EOF {
            return Err(syntax("it should end before its last bracket".into()));
        }
        match (&table.columns[..], &table.constraints[..]) {
            ([column], []) => Ok(Meaning::Field(Box::new(field(column).map_err(syntax)?))),
            ([], [constraint]) => Ok(Meaning::Rule(table_rule(constraint).map_err(syntax)?)),
            _ => Err(syntax("give each field and each rule as an argument of its own".into())),
        }
    }
}

/// Why what stands behind the brackets of CREATE TABLE is not taken.
fn after_the_fields(text: &str) -> Option<String> {
    let words: Vec<String> = text.split_whitespace().take(2).map(str::to_uppercase).collect();
    let starts = |with: &[&str]| words.len() >= with.len() && words.iter().zip(with).all(|(word, with)| word == with);
    if starts(&["PARTITION", "BY"]) || starts(&["PARTITION", "OF"]) {
        return Some("no refactoring makes a partitioned table, nor a partition: create it by hand, and let it be refactored then".into());
    }
    let more = [&["INHERITS"][..], &["INHERITS("], &["TABLESPACE"], &["WITH", "("], &["ON", "COMMIT"]];
    more.iter()
        .any(|with| starts(with))
        .then(|| "only fields and rules are said of a new table: the rest is set by hand once it is real".into())
}

fn field(column: &ast::ColumnDef) -> Result<FieldElement, String> {
    let name = ident(&column.name);
    let mut field = FieldElement {
        type_name: type_name(&column.data_type)?,
        collation: None,
        not_null: false,
        default: None,
        identity: None,
        generated: None,
        rules: Vec::new(),
        name: name.clone(),
    };
    for option in &column.options {
        let named = option.name.as_ref().map(ident);
        let mut rule = |rule| field.rules.push(RuleElement { name: named.clone(), rule });
        match &option.option {
            ColumnOption::Null => {}
            ColumnOption::NotNull => field.not_null = true,
            ColumnOption::Default(value) => field.default = Some(expression(value)?),
            ColumnOption::Collation(collation) => field.collation = Some(collation.to_string()),
            ColumnOption::PrimaryKey(_) => rule(Rule::Primary(vec![name.clone()])),
            ColumnOption::Unique(unique) => rule(Rule::Unique(vec![name.clone()], distinct(unique.nulls_distinct))),
            ColumnOption::Check(check) => rule(Rule::Check(expression(&check.expr)?)),
            ColumnOption::ForeignKey(key) => rule(Rule::Foreign(reference(key, vec![name.clone()])?)),
            ColumnOption::Generated { generated_as, generation_expr: None, sequence_options: options, .. } => {
                if options.as_ref().is_some_and(|o| !o.is_empty()) {
                    return Err("an identity has no options here; set them once it is real".into());
                }
                field.identity =
                    Some(if *generated_as == GeneratedAs::Always { Identity::Always } else { Identity::ByDefault });
            }
            ColumnOption::Generated { generation_expr: Some(value), generation_expr_mode: mode, .. } => {
                field.generated = Some((expression(value)?, *mode == Some(GeneratedExpressionMode::Stored)));
            }
            other => return Err(format!("`{other}` is not understood")),
        }
    }
    Ok(field)
}

fn type_name(data_type: &ast::DataType) -> Result<String, String> {
    let text = data_type.to_string();
    let known = match text.to_lowercase().as_str() {
        "serial" | "serial4" | "smallserial" | "serial2" | "bigserial" | "serial8" => {
            return Err(format!("`{text}` is no type; write `int GENERATED BY DEFAULT AS IDENTITY`"));
        }
        "int" | "int4" => "integer",
        "int8" => "bigint",
        "int2" => "smallint",
        "bool" => "boolean",
        "float8" | "float" => "double precision",
        "float4" => "real",
        "timestamptz" => "timestamp with time zone",
        "timestamp" => "timestamp without time zone",
        "decimal" => "numeric",
        other => {
            return Ok(match other.split_once('(') {
                Some(("varchar", rest)) => format!("character varying({rest}"),
                Some(("char", rest)) => format!("character({rest}"),
                Some(("decimal", rest)) => format!("numeric({rest}"),
                None if other == "varchar" => "character varying".into(),
                None if other == "char" => "character(1)".into(),
                _ if matches!(data_type, ast::DataType::Custom(..)) => text,
                _ => other.to_owned(),
            });
        }
    };
    Ok(known.to_owned())
}

fn table_rule(constraint: &ast::TableConstraint) -> Result<RuleElement, String> {
    use ast::TableConstraint as T;
    let (name, rule) = match constraint {
        T::PrimaryKey(key) => (&key.name, Rule::Primary(columns(&key.columns)?)),
        T::Unique(unique) => (&unique.name, Rule::Unique(columns(&unique.columns)?, distinct(unique.nulls_distinct))),
        T::Check(check) => (&check.name, Rule::Check(expression(&check.expr)?)),
        T::ForeignKey(key) => (&key.name, Rule::Foreign(reference(key, key.columns.iter().map(ident).collect())?)),
        other => return Err(format!("`{other}` is not understood")),
    };
    Ok(RuleElement { name: name.as_ref().map(ident), rule })
}

fn columns(columns: &[ast::IndexColumn]) -> Result<Vec<Ident>, String> {
    let plain = |c: &ast::IndexColumn| match &c.column.expr {
        ast::Expr::Identifier(name) => Ok(ident(name)),
        other => Err(format!("`{other}` is not a field")),
    };
    columns.iter().map(plain).collect()
}

fn reference(key: &ast::ForeignKeyConstraint, fields: Vec<Ident>) -> Result<Reference, String> {
    let action = |action: Option<ReferentialAction>| match action {
        None | Some(ReferentialAction::NoAction) => 'a',
        Some(ReferentialAction::Restrict) => 'r',
        Some(ReferentialAction::Cascade) => 'c',
        Some(ReferentialAction::SetNull) => 'n',
        Some(ReferentialAction::SetDefault) => 'd',
    };
    let late = key.characteristics.as_ref();
    Ok(Reference {
        fields,
        table: table(&key.foreign_table)?,
        referred: key.referred_columns.iter().map(ident).collect(),
        on_update: action(key.on_update),
        on_delete: action(key.on_delete),
        match_full: key.match_kind == Some(ConstraintReferenceMatchKind::Full),
        deferrable: late.is_some_and(|l| l.deferrable == Some(true)),
        deferred: late.is_some_and(|l| l.initially == Some(ast::DeferrableInitial::Deferred)),
    })
}

fn table(name: &ObjectName) -> Result<TableRef, String> {
    name.to_string().parse().map_err(|e: crate::name::NameError| e.to_string())
}

fn distinct(option: ast::NullsDistinctOption) -> bool {
    option != ast::NullsDistinctOption::NotDistinct
}

/// As PostgreSQL folds it.
fn ident(name: &ast::Ident) -> Ident {
    if name.quote_style.is_some() { Ident::new(&*name.value) } else { Ident::new(name.value.to_lowercase()) }
}

fn expression(value: &ast::Expr) -> Result<Expression, String> {
    Expression::parse(&value.to_string()).map_err(|e| e.to_string())
}

impl std::str::FromStr for Element {
    type Err = ExpressionError;
    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let element = Self(text.trim().to_owned());
        element.read()?;
        Ok(element)
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Element {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Meaning, ExpressionError> {
        text.parse::<Element>()?.read()
    }

    #[test]
    fn an_element_is_one_field_or_one_rule() {
        assert!(matches!(read("id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"), Ok(Meaning::Field(_))));
        assert!(matches!(read("CONSTRAINT c CHECK (a > b)"), Ok(Meaning::Rule(_))));
        assert!(read("a int, b int").is_err());
        assert!(read("a int); DROP TABLE x; --").is_err());
        assert!(read("id serial").is_err());
        assert!(read("").is_err());
    }

    #[test]
    fn a_field_says_what_it_has() {
        let Ok(Meaning::Field(field)) = read("\"Total\" decimal(10,2) NOT NULL DEFAULT 0 CHECK (\"Total\" >= 0)")
        else {
            panic!("a field");
        };
        assert_eq!(field.name, Ident::new("Total"));
        assert_eq!(field.type_name, "numeric(10,2)");
        assert!(field.not_null);
        assert_eq!(field.default.map(|d| d.to_string()), Some("0".into()));
        assert_eq!(field.rules.len(), 1);
    }
}
