//! Which code of the application meets the new shape unawares: what it does not say is said when declaring.

use std::collections::BTreeSet;

use crate::generate::{list, shown_in};
use crate::name::{Ident, TableName};
use crate::schema::{Function, Trigger};
use crate::sql::code::Code;
use crate::sql::trigger_arguments;
use crate::version::Version;

/// Remarks on code that meets a table as these steps show it: the step, and the text.
#[must_use]
pub fn remarks(version: &Version, is_new: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut remarks = trigger_functions(version, &is_new);
    remarks.extend(functions_of_rows(version, &is_new));
    remarks
}

/// The tables that are shown under their old name or no more, each with the step that made it so.
fn names<'v>(version: &'v Version, is_new: &impl Fn(&str) -> bool) -> Vec<(&'v TableName, &'v str)> {
    let shown = version.shown().filter_map(|r| Some((&r.name, r.touched_by.last()?.as_str())));
    let gone = version.gone.iter().filter(|(name, _)| version.schema.tables.contains_key(*name));
    shown.chain(gone.map(|(name, gone)| (name, gone.step.as_str()))).filter(|(_, step)| is_new(step)).collect()
}

/// A trigger's function runs with the `search_path` of whoever writes, unless it has one of its own: so where new code
/// writes, it finds the views.
fn trigger_functions(version: &Version, is_new: &impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let names = names(version, is_new);
    let next = shown_in(version);
    let ours: BTreeSet<&Ident> = next.values().collect();
    let path = version.schema.search_path.iter().filter(|s| !ours.contains(s)).cloned();
    let path = list(&path.chain([Ident::new("pg_temp")]).collect::<Vec<_>>());
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut remarks = Vec::new();
    for (on, table) in &version.schema.tables {
        for trigger in table.triggers.iter().filter(|t| t.enabled != 'D') {
            let function = version.schema.functions.iter().find(|f| f.signature == trigger.function);
            let Some(function) = function.filter(|f| !f.has_path && !told.contains(f.signature.as_str())) else {
                continue;
            };
            let code = Code::of(&function.text);
            let met: Vec<_> = names.iter().filter(|(name, _)| meets(&code, trigger, name.name.as_str())).collect();
            let Some((_, step)) = met.last() else { continue };
            told.insert(&function.signature);
            let tables: Vec<String> = met.iter().map(|(name, _)| format!("`{}`", name.short())).collect();
            remarks.push(((*step).to_owned(), format!(
                "function `{}` of the trigger `{}` on `{}` has no search_path of its own: where new code writes, {} is what the new shape has of it; \
                 it finds the table for old code and new after `ALTER FUNCTION {} SET search_path = {path}`",
                function.signature, trigger.name, on.short(), list(&tables), function.signature
            )));
        }
    }
    remarks
}

fn meets(code: &Code, trigger: &Trigger, table: &str) -> bool {
    let put_together = || code.says(table) || trigger_arguments(&trigger.definition).iter().any(|a| a == table);
    code.names_table(table) || code.executes() && put_together()
}

/// A function that takes rows of a table does not take those of a view.
fn functions_of_rows(version: &Version, is_new: &impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut remarks = Vec::new();
    for relation in version.shown() {
        let Some(step) = relation.touched_by.last().filter(|step| is_new(step)) else { continue };
        let table = relation.base.to_string();
        let takes =
            |f: &&Function| arguments(&f.signature).any(|a| a == table || a.strip_suffix("[]") == Some(table.as_str()));
        let functions: Vec<String> =
            version.schema.functions.iter().filter(takes).map(|f| format!("`{}`", f.signature)).collect();
        if !functions.is_empty() {
            let (name, of) = (relation.name.short(), list(&functions));
            let text = format!(
                "rows of the view of `{name}` are not of the table's type, so new code cannot give them to {of} until this is real"
            );
            remarks.push((step.clone(), text));
        }
    }
    remarks
}

/// The types of a function's arguments, as its signature has them.
fn arguments(signature: &str) -> impl Iterator<Item = &str> {
    let inside = signature.rsplit_once('(').map_or("", |(_, tail)| tail.trim_end_matches(')'));
    inside.split(',')
}
