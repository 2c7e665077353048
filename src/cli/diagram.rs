//! Both shapes side by side, and which field of the one is told by which of the other: for a terminal, as Mermaid for a
//! merge request, and as places on a page.

use std::collections::BTreeSet;

use crate::cli::lineage::{Sources, sources, told};
use crate::name::{Ident, OWN, TableName};
use crate::relation::{Field, Relation};

use crate::version::Version;

/// Both shapes of the tables that differ.
#[derive(Debug)]
pub struct Diagram {
    /// The tables as they are.
    pub old: Vec<Table>,
    /// The tables of the new shape.
    pub new: Vec<Table>,
    /// From an old field to a new one, as places of tables and fields in the lists above.
    pub arrows: Vec<Arrow>,
    /// Tables that are the same in both.
    pub same: Vec<String>,
}

/// A table with its fields.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its fields.
    pub fields: Vec<Line>,
}

/// A field.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_name: String,
    /// What became of it.
    pub fate: Fate,
    /// Where it lives, in words.
    pub told: String,
}

/// From one field to another.
#[derive(Debug)]
pub struct Arrow {
    /// Table and field among the old.
    pub from: (usize, usize),
    /// Table and field among the new.
    pub to: (usize, usize),
    /// What it stands for.
    pub fate: Fate,
}

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The same name and type in the same table.
    Same,
    /// Another name or type, or its table has another name.
    Renamed,
    /// In another table.
    Moved,
    /// Told by an expression, or by several fields.
    Computed,
    /// No old field tells it.
    New,
    /// No new field shows it.
    Gone,
}

impl Fate {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Renamed => "renamed",
            Self::Moved => "moved",
            Self::Computed => "computed",
            Self::New => "new",
            Self::Gone => "gone",
        }
    }
}

impl Diagram {
    /// Of a version that is shown.
    pub fn of(version: &Version) -> Self {
        let is_users = |table: &TableName| table.schema.as_str() != OWN && version.schema.tables.contains_key(table);
        let new: Vec<&Relation> = version.shown().collect();
        let all: Vec<Vec<Sources>> =
            new.iter().map(|r| r.fields.iter().map(|f| sources(version, r, f)).collect()).collect();
        let mut read: BTreeSet<&TableName> = all.iter().flatten().flatten().map(|(table, _)| table).collect();
        read.extend(new.iter().map(|r| &r.base));
        read.extend(version.gone.keys());
        let old: Vec<&TableName> = version.schema.tables.keys().filter(|t| read.contains(t) && is_users(t)).collect();
        let mut diagram = Self { old: Vec::new(), new: Vec::new(), arrows: Vec::new(), same: Vec::new() };
        for (to, (relation, fields)) in new.iter().zip(&all).enumerate() {
            let mut lines = Vec::new();
            for (at, (field, from)) in relation.fields.iter().zip(fields).enumerate() {
                let from: Vec<(usize, usize)> = from.iter().filter_map(|f| place(version, &old, f)).collect();
                let fate = fate(version, &old, relation, field, &from);
                lines.push(line(
                    field.shape.name.as_str(),
                    &field.shape.type_name,
                    fate,
                    told(version, relation, field),
                ));
                diagram.arrows.extend(from.into_iter().map(|from| Arrow { from, to: (to, at), fate }));
            }
            diagram.new.push(Table { name: relation.name.short(), fields: lines });
        }
        for (from, table) in old.iter().enumerate() {
            let mut lines = Vec::new();
            for (at, field) in version.schema.tables[*table].fields.iter().enumerate() {
                let to: Vec<&Arrow> = diagram.arrows.iter().filter(|a| a.from == (from, at)).collect();
                // What stays where it was says so, whatever else reads it.
                let fate = to.iter().map(|a| a.fate).min_by_key(|fate| *fate as u8).unwrap_or(Fate::Gone);
                let shown = to
                    .iter()
                    .map(|a| format!("{}.{}", diagram.new[a.to.0].name, diagram.new[a.to.0].fields[a.to.1].name));
                let shown: Vec<String> = shown.collect();
                let told =
                    if shown.is_empty() { "not shown".to_owned() } else { format!("shown as {}", shown.join(", ")) };
                lines.push(line(field.name.as_str(), &field.type_name, fate, told));
            }
            diagram.old.push(Table { name: table.short(), fields: lines });
        }
        let same = version.relations.values().filter(|r| !r.is_shown).map(|r| r.name.short());
        diagram.same = same.filter(|name| !diagram.old.iter().any(|t| t.name == *name)).collect();
        diagram
    }

    /// For a terminal: each old field and what shows it, then the new ones that none tells.
    pub fn text(&self) -> String {
        let width =
            self.old.iter().flat_map(|t| &t.fields).map(|f| f.name.chars().count() + f.type_name.chars().count() + 1);
        let width = width.max().unwrap_or(0);
        let mut text = String::new();
        for (from, table) in self.old.iter().enumerate() {
            text += &format!("{}\n", table.name);
            for (at, field) in table.fields.iter().enumerate() {
                let left = format!("{} {}", field.name, field.type_name);
                let shown: Vec<String> =
                    self.arrows.iter().filter(|a| a.from == (from, at)).map(|a| self.target(a)).collect();
                let right = if shown.is_empty() { "gone".to_owned() } else { shown.join(", ") };
                text += &format!("  {left:width$}  ─▶ {right}\n");
            }
        }
        for table in &self.new {
            for field in table.fields.iter().filter(|f| f.fate == Fate::New) {
                text += &format!("{}.{} {}  new: {}\n", table.name, field.name, field.type_name, field.told);
            }
        }
        text
    }

    fn target(&self, arrow: &Arrow) -> String {
        let table = &self.new[arrow.to.0];
        let mark = if arrow.fate == Fate::Same { String::new() } else { format!(" ({})", arrow.fate.word()) };
        format!("{}.{}{mark}", table.name, table.fields[arrow.to.1].name)
    }

    /// As a flowchart of Mermaid; fields that stay as they were are left out.
    pub fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for (side, title, tables) in [("o", "tables", &self.old), ("n", "next", &self.new)] {
            text += &format!("  subgraph {side}[\"{title}\"]\n");
            let changed = |table: &&Table| table.fields.iter().any(|field| field.fate != Fate::Same);
            for (at, table) in tables.iter().enumerate().filter(|(_, table)| changed(table)) {
                text += &format!("    subgraph {side}{at}[\"{}\"]\n", escaped(&table.name));
                for (place, field) in table.fields.iter().enumerate().filter(|(_, f)| f.fate != Fate::Same) {
                    let mark = if matches!(field.fate, Fate::New | Fate::Gone) {
                        format!(" ({})", field.fate.word())
                    } else {
                        String::new()
                    };
                    text += &format!(
                        "      {side}{at}f{place}[\"{} {}{mark}\"]\n",
                        escaped(&field.name),
                        escaped(&field.type_name)
                    );
                }
                text += "    end\n";
            }
            text += "  end\n";
        }
        for arrow in self.arrows.iter().filter(|a| a.fate != Fate::Same) {
            let ((from, at), (to, place)) = (arrow.from, arrow.to);
            // What is left out above because it stays, too, is only mentioned.
            if self.old[from].fields[at].fate == Fate::Same {
                text += &format!("  o{from}f{at}[\"{}\"]\n", escaped(&self.old[from].fields[at].name));
            }
            text += &format!("  o{from}f{at} -->|{}| n{to}f{place}\n", arrow.fate.word());
        }
        text
    }
}

/// Mermaid reads quotes and markup in labels; it knows entities by number.
fn escaped(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || " _.,()-".contains(c);
    text.chars().map(|c| if plain(c) { c.to_string() } else { format!("#{};", u32::from(c)) }).collect()
}

fn line(name: &str, type_name: &str, fate: Fate, told: String) -> Line {
    Line { name: name.to_owned(), type_name: type_name.to_owned(), fate, told }
}

/// Where a field of a table stands among the old ones.
fn place(version: &Version, old: &[&TableName], (table, column): &(TableName, Ident)) -> Option<(usize, usize)> {
    let at = old.iter().position(|t| *t == table)?;
    Some((at, version.schema.tables[table].fields.iter().position(|f| f.name == *column)?))
}

fn fate(version: &Version, old: &[&TableName], relation: &Relation, field: &Field, from: &[(usize, usize)]) -> Fate {
    let &[(table, at)] = from else { return if from.is_empty() { Fate::New } else { Fate::Computed } };
    let name = old[table];
    let source = &version.schema.tables[name].fields[at];
    let is_of_base = *name == relation.base;
    let is_as_it_was = source.name == field.shape.name && source.type_name == field.shape.type_name;
    match field.home {
        crate::relation::Home::Shaped(..) | crate::relation::Home::Calculated(_) => Fate::Computed,
        _ if relation.name == *name && is_as_it_was => Fate::Same,
        _ if is_of_base => Fate::Renamed,
        _ => Fate::Moved,
    }
}
