//! What statements mean together: a field that is added, filled and takes another one's place was renamed, or moved.

use sqlparser::ast::{
    AlterTable, AlterTableOperation, AssignmentTarget, ColumnDef, Expr, Ident, ObjectName, Statement as Parsed,
    TableFactor, TableWithJoins, Update, UpdateTableFromKind,
};

use crate::cli::convert::Said;
use crate::cli::convert::statements::Statement;
use crate::cli::convert::words::{added, field, folded, said, table_ref, typed, words};
use crate::name::{self, TableRef};

/// What each statement of a file becomes.
pub fn converted(statements: &[Statement]) -> Vec<Said> {
    let alone = |statement: &Statement| match &statement.parsed {
        Ok(parsed) => said(parsed, &statement.text),
        Err(why) => schema(&statement.text).unwrap_or_else(|| Said::Not(why.clone())),
    };
    let mut all: Vec<Said> = statements.iter().map(alone).collect();
    for (at, statement) in statements.iter().enumerate() {
        let Ok(Parsed::Update(update)) = &statement.parsed else { continue };
        let Some(fill) = Fill::of(update) else { continue };
        let before = (0..at).rev().find_map(|i| Some((i, adds(&statements[i], &fill.table, &fill.field)?)));
        let Some((first, (on, def))) = before else { continue };
        if let Some((source, old)) = fill.source() {
            let gone = (at..statements.len()).find(|i| drops(&statements[*i], &source, &old));
            if let Some(gone) = gone {
                let same = source == fill.table;
                let from = field_of(&source, &old);
                let command = if same {
                    words(["rename-field", &from, &typed(&def.name)])
                } else {
                    let mut moved = words(["move-field", &from, &fill.table.to_string()]);
                    if old != fill.field {
                        moved.extend(words(["--as", &typed(&def.name)]));
                    }
                    moved
                };
                let why = if same {
                    "added, filled and dropped: that is a field with another name"
                } else {
                    "added there, filled and dropped here: that is a field that moved"
                };
                all[first] = Said::These(vec![command], Some(why.to_owned()));
                all[at] = Said::PartOf(first, Some(why.to_owned()));
                all[gone] = Said::PartOf(first, Some(why.to_owned()));
                continue;
            }
        }
        if fill.from.is_none()
            && fill.is_of_all
            && let Ok(commands) = added(on, def, Some(&update.assignments[0].value))
        {
            let why = "the rows that exist get this value".to_owned();
            all[first] = Said::These(commands, Some(why.clone()));
            all[at] = Said::PartOf(first, Some(why));
        }
    }
    for (at, statement) in statements.iter().enumerate() {
        let Said::These(commands, None) = &all[at] else { continue };
        let Some((on, gone)) = dropped(statement) else { continue };
        let other = statements.iter().enumerate().find_map(|(i, other)| Some((i, only_added(other, &on)?)));
        let from = field_of(&on, &gone);
        if let Some((i, def)) = other
            && matches!(all[i], Said::These(_, None))
        {
            let why = format!(
                "taken as it stands, with the values lost; if the field got another name, it is `refactor rename-field {} {}` instead of both",
                name::shell(&from),
                name::shell(&typed(&def.name))
            );
            all[at] = Said::These(commands.clone(), Some(why));
        }
    }
    all
}

fn field_of(table: &TableRef, field: &name::Ident) -> String {
    name::FieldRef { table: table.clone(), field: field.clone() }.to_string()
}

/// `ALTER TABLE … SET SCHEMA`, which the parser does not know.
fn schema(text: &str) -> Option<Said> {
    let words_: Vec<&str> = text.split_whitespace().collect();
    let lower: Vec<String> = words_.iter().map(|w| w.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    match lower[..] {
        ["alter", "table", _, "set", "schema", _] => {
            let bare = |word: &str| if word.contains('"') { word.to_owned() } else { word.to_lowercase() };
            Some(Said::These(
                vec![words(["move-to-schema", &bare(words_[2]), &bare(words_[5]).replace('"', "")])],
                None,
            ))
        }
        _ => None,
    }
}

/// An UPDATE that gives one field a value.
struct Fill {
    table: TableRef,
    called: name::Ident,
    field: name::Ident,
    value: Expr,
    from: Option<(TableRef, name::Ident)>,
    /// Whether all rows get it, or all that have none yet.
    is_of_all: bool,
}

fn named(table: &TableWithJoins) -> Option<(TableRef, name::Ident)> {
    let TableFactor::Table { name, alias, .. } = &table.relation else { return None };
    let found = table_ref(name).ok().filter(|_| table.joins.is_empty())?;
    let called = alias.as_ref().map_or_else(|| found.name.clone(), |alias| folded(&alias.name));
    Some((found, called))
}

impl Fill {
    fn of(update: &Update) -> Option<Self> {
        let (table, called) = named(&update.table)?;
        let [assignment] = &update.assignments[..] else { return None };
        let AssignmentTarget::ColumnName(target) = &assignment.target else { return None };
        let field = target.0.last().and_then(|part| part.as_ident()).map(folded)?;
        let from = match &update.from {
            None => None,
            Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) => {
                let [one] = &from[..] else { return None };
                Some(named(one)?)
            }
        };
        let is_of_all = match &update.selection {
            None => true,
            Some(Expr::IsNull(inner)) => column(inner).is_some_and(|(_, name)| name == field),
            Some(_) => false,
        };
        Some(Self { table, called, field, value: assignment.value.clone(), from, is_of_all })
    }

    /// The field that the value is, if it is one.
    fn source(&self) -> Option<(TableRef, name::Ident)> {
        let (of, field) = column(&self.value)?;
        match (&self.from, of) {
            (None, None) if self.is_of_all => Some((self.table.clone(), field)),
            (None, Some(of)) if self.is_of_all && of == self.called => Some((self.table.clone(), field)),
            (Some((table, called)), Some(of)) if of == *called => Some((table.clone(), field)),
            _ => None,
        }
    }
}

/// A field by its name, with what its table is called.
fn column(expression: &Expr) -> Option<(Option<name::Ident>, name::Ident)> {
    match expression {
        Expr::Identifier(name) => Some((None, folded(name))),
        Expr::CompoundIdentifier(parts) => match &parts[..] {
            [of, name] => Some((Some(folded(of)), folded(name))),
            _ => None,
        },
        _ => None,
    }
}

fn altered(statement: &Statement) -> Option<&AlterTable> {
    match &statement.parsed {
        Ok(Parsed::AlterTable(alter)) => Some(alter),
        _ => None,
    }
}

fn only(statement: &Statement) -> Option<(&ObjectName, &AlterTableOperation)> {
    let alter = altered(statement)?;
    let [operation] = &alter.operations[..] else { return None };
    Some((&alter.name, operation))
}

/// The field that a statement adds and nothing else.
fn adds<'s>(
    statement: &'s Statement,
    table: &TableRef,
    field: &name::Ident,
) -> Option<(&'s ObjectName, &'s ColumnDef)> {
    let (name, operation) = only(statement)?;
    let AlterTableOperation::AddColumn { column_def, .. } = operation else { return None };
    (table_ref(name).ok()? == *table && folded(&column_def.name) == *field).then_some((name, column_def))
}

fn only_added<'s>(statement: &'s Statement, table: &TableRef) -> Option<&'s ColumnDef> {
    let (name, operation) = only(statement)?;
    let AlterTableOperation::AddColumn { column_def, .. } = operation else { return None };
    (table_ref(name).ok()? == *table).then_some(column_def)
}

fn dropped(statement: &Statement) -> Option<(TableRef, name::Ident)> {
    let (name, operation) = only(statement)?;
    let AlterTableOperation::DropColumn { column_names, .. } = operation else { return None };
    let [one]: &[Ident] = column_names else { return None };
    field(name, one).ok()?;
    Some((table_ref(name).ok()?, folded(one)))
}

fn drops(statement: &Statement, table: &TableRef, field: &name::Ident) -> bool {
    dropped(statement).is_some_and(|(on, gone)| on == *table && gone == *field)
}
