//! One statement as refactorings, by itself.

use sqlparser::ast::{
    AlterColumnOperation, AlterTable, AlterTableOperation, ColumnDef, ColumnOption, CommentObject, CreateIndex,
    CreateTable, Expr, Ident, IndexColumn, ObjectName, ObjectType, RenameTableNameKind, Statement, TableConstraint,
};

use crate::catalogue::NAMES;
use crate::cli::convert::{Said, Words, has_option};
use crate::name::{self, FieldRef, TableRef};

/// What a statement becomes.
pub fn said(statement: &Statement, text: &str) -> Said {
    match said_by(statement, text) {
        Ok(said) => said,
        Err(why) => Said::Not(why),
    }
}

fn said_by(statement: &Statement, text: &str) -> Result<Said, String> {
    let sure = |commands: Vec<Words>| Ok(Said::These(commands, None));
    match statement {
        Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. }
        | Statement::Savepoint { .. }
        | Statement::ReleaseSavepoint { .. }
        | Statement::Set(_)
        | Statement::Analyze(_)
        | Statement::Vacuum(_)
        | Statement::Lock(_) => Ok(Said::Nothing),
        Statement::AlterTable(alter) => {
            let mut all = Vec::new();
            for operation in &alter.operations {
                all.extend(altered(alter, operation)?);
            }
            if all.is_empty() { Ok(Said::Nothing) } else { sure(all) }
        }
        Statement::CreateTable(create) => created(create),
        Statement::CreateIndex(index) => indexed(index),
        Statement::Drop { object_type: ObjectType::Table, names, .. } => {
            sure(names.iter().map(|n| Ok(words(["drop-table", &table(n)?]))).collect::<Result<_, String>>()?)
        }
        Statement::Drop { object_type: ObjectType::Index, names, .. } => {
            sure(names.iter().map(|n| Ok(words(["drop-index", &table(n)?]))).collect::<Result<_, String>>()?)
        }
        Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) | Statement::Merge(_) => {
            let verb = text.split_whitespace().next().unwrap_or("change").to_lowercase();
            let why = "it changes rows once, where it stands among the others";
            Ok(Said::These(vec![words(["data", &format!("{verb}-rows"), text])], Some(why.to_owned())))
        }
        Statement::Comment { object_type, object_name, comment, .. } => {
            let on = match object_type {
                CommentObject::Table => table(object_name)?,
                CommentObject::Column => field_ref(object_name)?,
                _ => return Err("only tables and fields get comments so".to_owned()),
            };
            sure(vec![words(["comment", &on, comment.as_deref().unwrap_or("--none")])])
        }
        Statement::CreateExtension(extension) => Ok(made(text, "EXTENSION", &extension.name)),
        Statement::CreateType { name, .. } => Ok(made(text, "TYPE", name)),
        Statement::CreateSequence { name, temporary: false, .. } => Ok(made(text, "SEQUENCE", name)),
        _ => Err("no refactoring does that".to_owned()),
    }
}

/// What has no verb of its own, with what most likely takes it back.
fn made(text: &str, kind: &str, name: &impl std::fmt::Display) -> Said {
    let down = format!("DROP {kind} {name}");
    let why = format!("it is taken back by `{down}`");
    Said::These(vec![words(["ddl", "--up", text, "--down", &down])], Some(why))
}

/// A field's name, after its table's, as it is typed.
fn field_ref(name: &ObjectName) -> Result<String, String> {
    let mut parts = name.0.clone();
    let last = parts.pop().and_then(|part| part.as_ident().cloned());
    field(&ObjectName(parts), &last.ok_or_else(|| format!("`{name}` is no field's name"))?)
}

/// Words as owned texts.
pub fn words<const N: usize>(these: [&str; N]) -> Words {
    these.map(str::to_owned).into()
}

/// A name as the catalogue stores it.
pub fn folded(ident: &Ident) -> name::Ident {
    name::Ident::new(if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() })
}

/// A table's name as it is typed.
pub fn table_ref(name: &ObjectName) -> Result<TableRef, String> {
    let mut parts: Vec<name::Ident> = name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect();
    match (parts.pop(), parts.pop()) {
        (Some(name), schema) if parts.is_empty() => Ok(TableRef { schema, name }),
        _ => Err(format!("`{name}` is no table's name")),
    }
}

fn table(name: &ObjectName) -> Result<String, String> {
    Ok(table_ref(name)?.to_string())
}

/// A field of a table as it is typed.
pub fn field(table: &ObjectName, field: &Ident) -> Result<String, String> {
    Ok(FieldRef { table: table_ref(table)?, field: folded(field) }.to_string())
}

/// A name as it is typed.
pub fn typed(ident: &Ident) -> String {
    TableRef { schema: None, name: folded(ident) }.to_string()
}

fn altered(alter: &AlterTable, operation: &AlterTableOperation) -> Result<Vec<Words>, String> {
    let on = &alter.name;
    let one = |words: Words| Ok(vec![words]);
    match operation {
        AlterTableOperation::AddColumn { column_def, .. } => added(on, column_def, None),
        AlterTableOperation::DropColumn { column_names, .. } => {
            column_names.iter().map(|c| Ok(words(["drop-field", &field(on, c)?]))).collect()
        }
        AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
            one(words(["rename-field", &field(on, old_column_name)?, &typed(new_column_name)]))
        }
        AlterTableOperation::RenameTable { table_name } => {
            let (RenameTableNameKind::As(to) | RenameTableNameKind::To(to)) = table_name;
            one(words(["rename-table", &table(on)?, &table(to)?]))
        }
        AlterTableOperation::AlterColumn { column_name, op } => one(column(&field(on, column_name)?, op)?),
        AlterTableOperation::AddConstraint { constraint, .. } => one(constrained(on, constraint)?),
        AlterTableOperation::DropConstraint { name, .. } => one(words(["drop-constraint", &table(on)?, &typed(name)])),
        AlterTableOperation::RenameConstraint { old_name, new_name } if NAMES.contains(&"rename-constraint") => {
            one(words(["rename-constraint", &table(on)?, &typed(old_name), &typed(new_name)]))
        }
        // The rule binds all rows once it is real.
        AlterTableOperation::ValidateConstraint { .. } => Ok(Vec::new()),
        other => Err(format!("no refactoring does `{other}`")),
    }
}

fn column(at: &str, operation: &AlterColumnOperation) -> Result<Words, String> {
    Ok(match operation {
        AlterColumnOperation::SetNotNull => words(["set-not-null", at]),
        AlterColumnOperation::DropNotNull => words(["drop-not-null", at]),
        AlterColumnOperation::SetDefault { value } => words(["set-default", at, &value.to_string()]),
        AlterColumnOperation::DropDefault => words(["drop-default", at]),
        AlterColumnOperation::SetDataType { data_type, using, .. } => {
            let mut all = words(["change-type", at, &data_type.to_string()]);
            all.extend(using.iter().flat_map(|e| ["--using".to_owned(), e.to_string()]));
            all
        }
        AlterColumnOperation::AddGenerated { .. } => return Err("no refactoring makes a field an identity".to_owned()),
    })
}

/// A new field and its rules; `value`: what the rows that exist have in it.
pub fn added(on: &ObjectName, def: &ColumnDef, value: Option<&Expr>) -> Result<Vec<Words>, String> {
    let at = field(on, &def.name)?;
    let mut add = words(["add-field", &at, &def.data_type.to_string()]);
    add.extend(value.iter().flat_map(|e| ["--as".to_owned(), e.to_string()]));
    let mut rules = Vec::new();
    for option in &def.options {
        let named = option.name.as_ref();
        match &option.option {
            ColumnOption::Null => {}
            ColumnOption::NotNull => add.push("--not-null".to_owned()),
            ColumnOption::Default(value) => add.extend(["--default".to_owned(), value.to_string()]),
            ColumnOption::Unique(_) => {
                rules.push(with_name(words(["add-unique", &table(on)?, &typed(&def.name)]), named));
            }
            ColumnOption::Check(check) => {
                rules.push(with_name(words(["add-check", &table(on)?, &check.expr.to_string()]), named));
            }
            ColumnOption::ForeignKey(key) => {
                let mut key = key.clone();
                key.columns = vec![def.name.clone()];
                key.name = named.cloned();
                rules.push(constrained(on, &TableConstraint::ForeignKey(key))?);
            }
            ColumnOption::PrimaryKey(_) => {
                return Ok(vec![words(["add-surrogate-key", &at, "--type", &def.data_type.to_string()])]);
            }
            ColumnOption::Generated { generation_expr: Some(value), .. } => {
                return Ok(vec![words(["add-calculated", &at, &def.data_type.to_string(), &value.to_string()])]);
            }
            other => return Err(format!("add-field knows no `{other}`")),
        }
    }
    Ok([vec![add], rules].concat())
}

fn with_name(mut words: Words, name: Option<&Ident>) -> Words {
    words.extend(name.iter().flat_map(|name| ["--name".to_owned(), typed(name)]));
    words
}

/// Fields of a rule or index: names alone.
fn fields(columns: &[IndexColumn]) -> Result<Vec<String>, String> {
    let one = |column: &IndexColumn| match &column.column.expr {
        Expr::Identifier(name) if column.to_string() == name.to_string() => Ok(typed(name)),
        _ => Err(format!("`{column}` is more than a field")),
    };
    columns.iter().map(one).collect()
}

fn constrained(on: &ObjectName, constraint: &TableConstraint) -> Result<Words, String> {
    let on = table(on)?;
    match constraint {
        TableConstraint::Check(check) => {
            Ok(with_name(words(["add-check", &on, &check.expr.to_string()]), check.name.as_ref()))
        }
        TableConstraint::Unique(unique) if unique.include.is_empty() && unique.characteristics.is_none() => {
            let mut all = words(["add-unique", &on]);
            all.extend(fields(&unique.columns)?);
            Ok(with_name(all, unique.name.as_ref()))
        }
        TableConstraint::PrimaryKey(key) if NAMES.contains(&"add-primary-key") => {
            let mut all = words(["add-primary-key", &on]);
            all.extend(fields(&key.columns)?);
            Ok(with_name(all, key.name.as_ref()))
        }
        TableConstraint::ForeignKey(key) if key.characteristics.is_none() && key.match_kind.is_none() => {
            let mut all = words(["add-foreign-key", &on]);
            all.extend(key.columns.iter().map(typed));
            let there: Vec<String> = key.referred_columns.iter().map(typed).collect();
            let there = if there.is_empty() { String::new() } else { format!("({})", there.join(", ")) };
            all.extend(["--references".to_owned(), format!("{}{there}", table(&key.foreign_table)?)]);
            for (option, action) in [("--on-delete", &key.on_delete), ("--on-update", &key.on_update)] {
                let word = |a: &dyn std::fmt::Display| a.to_string().to_lowercase().replace(' ', "-");
                all.extend(action.iter().flat_map(|action| [option.to_owned(), word(action)]));
            }
            Ok(with_name(all, key.name.as_ref()))
        }
        other => Err(format!("no refactoring adds `{other}`")),
    }
}

fn created(create: &CreateTable) -> Result<Said, String> {
    let odd = [
        (create.query.is_some(), "AS"),
        (create.like.is_some(), "LIKE"),
        (create.inherits.is_some(), "INHERITS"),
        (create.partition_by.is_some() || create.partition_of.is_some(), "PARTITION"),
        (create.temporary, "TEMPORARY"),
        (create.unlogged, "UNLOGGED"),
    ];
    if let Some((_, word)) = odd.iter().find(|(is, _)| *is) {
        return Err(format!("create-table knows no {word}"));
    }
    let mut all = words(["create-table", &table(&create.name)?]);
    let columns: Vec<(String, bool)> = create.columns.iter().map(element).collect();
    let why = columns.iter().any(|(_, numbered)| *numbered).then(|| "a serial becomes an identity".to_owned());
    all.extend(columns.into_iter().map(|(text, _)| text));
    all.extend(create.constraints.iter().map(ToString::to_string));
    Ok(Said::These(vec![all], why))
}

/// A field of a new table, and whether a serial became an identity in it.
fn element(def: &ColumnDef) -> (String, bool) {
    let type_name = match def.data_type.to_string().to_lowercase().as_str() {
        "serial" | "serial4" => "int",
        "bigserial" | "serial8" => "bigint",
        "smallserial" | "serial2" => "smallint",
        _ => return (def.to_string(), false),
    };
    let options: String = def.options.iter().map(|option| format!(" {option}")).collect();
    (format!("{} {type_name} GENERATED BY DEFAULT AS IDENTITY{options}", def.name), true)
}

fn indexed(index: &CreateIndex) -> Result<Said, String> {
    let knows_more = has_option("create-index", "unique");
    let is_more = !index.include.is_empty() || !index.with.is_empty() || index.nulls_distinct == Some(false);
    if !knows_more && is_more {
        return Err("create-index knows no INCLUDE, WITH or NULLS NOT DISTINCT".to_owned());
    }
    let columns = match fields(&index.columns) {
        Err(_) if knows_more => index.columns.iter().map(ToString::to_string).collect(),
        fields => fields?,
    };
    let unique = index.unique && !knows_more;
    if unique && index.predicate.is_some() {
        return Err("no refactoring makes a unique index of some rows".to_owned());
    }
    let mut all = words([if unique { "add-unique" } else { "create-index" }, &table(&index.table_name)?]);
    all.extend(columns);
    if index.unique && knows_more {
        all.push("--unique".to_owned());
    }
    if let Some(name) = &index.name {
        all.extend(["--name".to_owned(), table_ref(name)?.name.as_str().to_owned()]);
    }
    if let Some(method) = index.using.as_ref().filter(|_| !unique) {
        all.extend(["--method".to_owned(), method.to_string().to_lowercase()]);
    }
    let listed = |option: &str, values: Vec<String>| match &values[..] {
        [] => Vec::new(),
        _ => vec![option.to_owned(), values.join(",")],
    };
    all.extend(listed("--include", index.include.iter().map(typed).collect()));
    all.extend(listed(
        "--with",
        index.with.iter().map(|e| e.to_string().replace(" = ", "=").replace('\'', "")).collect(),
    ));
    if index.nulls_distinct == Some(false) {
        all.push("--nulls-not-distinct".to_owned());
    }
    all.extend(index.predicate.iter().flat_map(|e| ["--where".to_owned(), e.to_string()]));
    let why = unique.then(|| "a unique index becomes a unique constraint".to_owned());
    Ok(Said::These(vec![all], why))
}
