//! One element of CREATE TABLE as a person writes it: a field with its rules, or a rule of the table.

mod numbered;

use std::fmt;

use sqlparser::ast::{
    self, ColumnOption, ConstraintReferenceMatchKind, GeneratedAs, GeneratedExpressionMode, ObjectName,
    ReferentialAction, Statement,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::Identity;
use crate::name::{Ident, TableRef, serde_as_text};
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
    /// The options of its sequence, as CREATE SEQUENCE takes them.
    pub numbers: String,
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
    /// When it is asked, if it can be put off.
    pub late: Late,
}

/// When a constraint is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Late {
    /// `DEFERRABLE`
    pub deferrable: bool,
    /// `INITIALLY DEFERRED`
    pub deferred: bool,
}

/// What a constraint demands.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// `PRIMARY KEY (…)`, and what its index has besides.
    Primary(Vec<Ident>, Vec<Ident>),
    /// `UNIQUE (…)`, what its index has besides, and whether NULLs are distinct.
    Unique(Vec<Ident>, Vec<Ident>, bool),
    /// `CHECK (…)`, and whether it is for this table alone: `NO INHERIT`.
    Check(Expression, bool),
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
        let (plain, numbers) = numbered::apart(text).map_err(syntax)?.unwrap_or_else(|| (text.clone(), String::new()));
        let wrapped = format!("CREATE TABLE t ({plain})");
        let parse = |e: sqlparser::parser::ParserError| syntax(parser_reason(&e.to_string()));
        let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(&wrapped).map_err(parse)?;
        let statement = parser.parse_statement().map_err(parse)?;
        let Statement::CreateTable(table) = statement else { return Err(syntax("it is none".into())) };
        if parser.peek_token().token != Token::EOF {
            return Err(syntax("it should end before its last bracket".into()));
        }
        match (&table.columns[..], &table.constraints[..]) {
            ([column], []) => {
                let field = field(column).map_err(syntax)?;
                Ok(Meaning::Field(Box::new(FieldElement { numbers, ..field })))
            }
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
        numbers: String::new(),
        generated: None,
        rules: Vec::new(),
        name: name.clone(),
    };
    let mut said = Vec::new();
    for option in &column.options {
        let named = option.name.as_ref().map(ident);
        let once = match &option.option {
            ColumnOption::Null | ColumnOption::NotNull => "whether it may be NULL",
            ColumnOption::Default(_) => "a default",
            ColumnOption::Collation(_) => "a collation",
            ColumnOption::PrimaryKey(_) => "PRIMARY KEY",
            ColumnOption::Generated { .. } => "how it is generated",
            _ => "",
        };
        if !once.is_empty() && said.contains(&once) {
            return Err(format!("it says {once} twice"));
        }
        said.push(once);
        let mut rule = |rule, late| field.rules.push(RuleElement { name: named.clone(), rule, late });
        match &option.option {
            ColumnOption::Null => {}
            ColumnOption::NotNull => field.not_null = true,
            ColumnOption::Default(value) => field.default = Some(expression(value)?),
            ColumnOption::Collation(collation) => field.collation = Some(collation.to_string()),
            ColumnOption::PrimaryKey(key) => {
                rule(Rule::Primary(vec![name.clone()], Vec::new()), late(key.characteristics.as_ref())?);
            }
            ColumnOption::Unique(unique) => {
                let unique_rule = Rule::Unique(vec![name.clone()], Vec::new(), distinct(unique.nulls_distinct));
                rule(unique_rule, late(unique.characteristics.as_ref())?);
            }
            ColumnOption::Check(check) => rule(checked(check)?, Late::default()),
            ColumnOption::ForeignKey(key) => {
                rule(Rule::Foreign(reference(key, vec![name.clone()])?), late(key.characteristics.as_ref())?);
            }
            ColumnOption::Generated { generated_as, generation_expr: None, .. } => {
                field.identity =
                    Some(if *generated_as == GeneratedAs::Always { Identity::Always } else { Identity::ByDefault });
            }
            ColumnOption::Generated { generation_expr: Some(value), generation_expr_mode: mode, .. } => {
                field.generated = Some((expression(value)?, *mode == Some(GeneratedExpressionMode::Stored)));
            }
            other => return Err(format!("`{other}` is not understood")),
        }
    }
    if u8::from(field.default.is_some()) + u8::from(field.identity.is_some()) + u8::from(field.generated.is_some()) > 1
    {
        return Err("it has a default, is numbered or is computed: one of them only".into());
    }
    if said.contains(&"whether it may be NULL") && !field.not_null && (field.identity.is_some() || is_key(&field)) {
        return Err("a key and an identity may not be NULL".into());
    }
    Ok(field)
}

fn is_key(field: &FieldElement) -> bool {
    field.rules.iter().any(|r| matches!(r.rule, Rule::Primary(..)))
}

fn checked(check: &ast::CheckConstraint) -> Result<Rule, String> {
    enforced(check.enforced)?;
    Ok(Rule::Check(expression(&check.expr)?, check.no_inherit))
}

fn enforced(said: Option<bool>) -> Result<(), String> {
    match said {
        Some(false) => Err("`NOT ENFORCED` is not understood; leave the rule out".into()),
        _ => Ok(()),
    }
}

fn late(said: Option<&ast::ConstraintCharacteristics>) -> Result<Late, String> {
    let Some(said) = said else { return Ok(Late::default()) };
    enforced(said.enforced)?;
    let deferred = said.initially == Some(ast::DeferrableInitial::Deferred);
    match said.deferrable {
        Some(false) if deferred => Err("what is INITIALLY DEFERRED must be DEFERRABLE".into()),
        deferrable => Ok(Late { deferrable: deferrable == Some(true) || deferred, deferred }),
    }
}

/// What an index has besides the fields that it is for. Neither has a name or a method of its own here.
fn besides(
    include: &[ast::Ident],
    (name, method, options): (Option<&ast::Ident>, Option<&ast::IndexType>, &[ast::IndexOption]),
) -> Result<Vec<Ident>, String> {
    if let Some(name) = name {
        return Err(format!("`{name}` is not understood; a rule's name stands after CONSTRAINT"));
    }
    if let Some(method) = method {
        return Err(format!("`USING {method}` is not understood"));
    }
    if let Some(option) = options.first() {
        return Err(format!("`{option}` is not understood"));
    }
    Ok(include.iter().map(ident).collect())
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
    let (name, rule, when) = match constraint {
        T::PrimaryKey(key) => {
            let more = besides(&key.include, (key.index_name.as_ref(), key.index_type.as_ref(), &key.index_options))?;
            (&key.name, Rule::Primary(columns(&key.columns)?, more), key.characteristics.as_ref())
        }
        T::Unique(key) => {
            let more = besides(&key.include, (key.index_name.as_ref(), key.index_type.as_ref(), &key.index_options))?;
            let rule = Rule::Unique(columns(&key.columns)?, more, distinct(key.nulls_distinct));
            (&key.name, rule, key.characteristics.as_ref())
        }
        T::Check(check) => (&check.name, checked(check)?, None),
        T::ForeignKey(key) => {
            besides(&[], (key.index_name.as_ref(), None, &[]))?;
            let rule = Rule::Foreign(reference(key, key.columns.iter().map(ident).collect())?);
            (&key.name, rule, key.characteristics.as_ref())
        }
        other => return Err(format!("`{other}` is not understood")),
    };
    Ok(RuleElement { name: name.as_ref().map(ident), rule, late: late(when)? })
}

fn columns(columns: &[ast::IndexColumn]) -> Result<Vec<Ident>, String> {
    let plain = |c: &ast::IndexColumn| match &c.column.expr {
        ast::Expr::Identifier(name) if c.to_string() == name.to_string() => Ok(ident(name)),
        ast::Expr::Identifier(_) => Err(format!("`{c}` is not understood; a key has fields and no order")),
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
    if key.match_kind == Some(ConstraintReferenceMatchKind::Partial) {
        return Err("`MATCH PARTIAL` is not understood, neither here nor by PostgreSQL".into());
    }
    Ok(Reference {
        fields,
        table: table(&key.foreign_table)?,
        referred: key.referred_columns.iter().map(ident).collect(),
        on_update: action(key.on_update),
        on_delete: action(key.on_delete),
        match_full: key.match_kind == Some(ConstraintReferenceMatchKind::Full),
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

serde_as_text!(Element => ToString::to_string);

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
