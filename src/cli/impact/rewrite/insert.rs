//! New rows: what of them goes to another table is a statement of its own.

use std::collections::BTreeMap;

use sqlparser::ast::{self, Expr, OnConflictAction, OnInsert, SetExpr, Statement};

use super::Writer;
use super::names::{self, folded, object, parts, written};
use crate::cli::impact::lens::{Found, Hop, Told};
use crate::name::{Ident, TableName};

/// Where the values of a new row go.
#[derive(Default)]
struct Places {
    /// The field of each, if it is one of the row.
    names: Vec<Option<Ident>>,
    /// Which go to another table, and where.
    there: Vec<(usize, Vec<Hop>, Ident)>,
    /// Which tell other fields.
    told: Vec<(Told, BTreeMap<Ident, usize>)>,
}

/// Values for a row of another table.
type Beside = Vec<(Hop, Vec<(Ident, String)>)>;

/// Adds a value to those that go the same way.
pub(super) fn gather(all: &mut Beside, hop: &Hop, given: (Ident, String)) {
    match all.iter_mut().find(|(known, _)| known == hop) {
        Some((_, values)) => values.push(given),
        None => all.push((hop.clone(), vec![given])),
    }
}

impl Writer<'_> {
    pub(super) fn insert(&mut self, insert: &mut ast::Insert) {
        let Some((table, _)) = self.target() else { return };
        self.conflict(&table, &mut insert.on);
        let mut columns: Vec<Ident> = insert.columns.iter().filter_map(|c| parts(c).pop()).collect();
        let mut rows = match insert.source.as_mut().map(|s| &mut *s.body) {
            Some(SetExpr::Values(values)) => Some(&mut values.rows),
            Some(_) => None,
            None => return,
        };
        if columns.is_empty() {
            let width = rows.as_ref().and_then(|r| r.first()).map_or(usize::MAX, |r| r.content.len());
            columns = self.lens.fields(&table).into_iter().take(width).collect();
        }
        let places = self.places(&table, &columns);
        let mut kept: Vec<Ident> = places.names.iter().flatten().cloned().collect();
        if !places.there.is_empty() || !places.told.is_empty() {
            let Some(rows) = &mut rows else {
                return self.trouble("INSERT of a query: insert the other fields, then write those that are elsewhere");
            };
            if self.depth > 1 {
                return self.trouble("a part of a WITH cannot become two statements");
            }
            let mut more: Option<Vec<Ident>> = None;
            for row in rows.iter_mut() {
                let old = std::mem::take(&mut row.content);
                let (names, values): (Vec<Ident>, Vec<Expr>) =
                    self.row(&table, &columns, &places, &old).into_iter().unzip();
                let own = places.names.iter().zip(old).filter_map(|(name, value)| name.as_ref().map(|_| value));
                row.content = own.chain(values).collect();
                more.get_or_insert(names);
            }
            kept.extend(more.unwrap_or_default());
        }
        insert.columns = kept.iter().map(|name| ast::ObjectName::from(vec![written(name)])).collect();
    }

    fn conflict(&mut self, table: &TableName, on: &mut Option<OnInsert>) {
        let Some(OnInsert::OnConflict(conflict)) = on else { return };
        if let Some(ast::ConflictTarget::Columns(columns)) = &mut conflict.conflict_target {
            for column in columns {
                match self.lens.find(table, &folded(column)) {
                    Found::Here(now) => *column = written(&now),
                    _ => self.trouble("ON CONFLICT over a field that is elsewhere"),
                }
            }
        }
        if let OnConflictAction::DoUpdate(update) = &mut conflict.action {
            let (kept, moved) = self.assigned(table, &table.name.clone(), std::mem::take(&mut update.assignments));
            update.assignments = kept;
            if !moved.is_empty() {
                self.trouble("ON CONFLICT DO UPDATE of a field that is elsewhere");
            }
        }
    }

    fn places(&mut self, table: &TableName, columns: &[Ident]) -> Places {
        let mut places = Places::default();
        for (at, field) in columns.iter().enumerate() {
            self.said.fields.insert((table.clone(), field.clone()));
            let mut name = None;
            match self.found(table, field) {
                Found::Here(now) => name = Some(now),
                Found::There(hops, column) => places.there.push((at, hops, column)),
                Found::Told | Found::Retyped(_) => match self.lens.shapes(table, field) {
                    Some(shapes) => match places.told.iter_mut().find(|(t, _)| *t == shapes) {
                        Some((_, fields)) => drop(fields.insert(field.clone(), at)),
                        None => places.told.push((shapes, BTreeMap::from([(field.clone(), at)]))),
                    },
                    None => self.told_elsewhere(table, field),
                },
                Found::Gone => self.gone(table, field),
            }
            places.names.push(name);
        }
        places
    }

    /// What a new row gets besides; what goes to other tables becomes statements of its own.
    fn row(&mut self, table: &TableName, columns: &[Ident], places: &Places, old: &[Expr]) -> Vec<(Ident, Expr)> {
        let mut more = Vec::new();
        for (shapes, fields) in &places.told {
            let values = fields.iter().filter_map(|(f, at)| Some((f.clone(), format!("({})", old.get(*at)?))));
            let values: BTreeMap<Ident, String> = values.collect();
            more.extend(self.shaped(table, None, shapes, &values));
        }
        let (mut lists, mut parts) = (Vec::new(), Vec::new());
        for (at, hops, column) in &places.there {
            let Some(value) = old.get(*at).map(ToString::to_string) else { continue };
            if self.is_listed(table, hops) {
                gather(&mut lists, &hops[0], (column.clone(), value));
            } else if let [hop @ Hop { part: true, .. }] = &hops[..] {
                gather(&mut parts, hop, (column.clone(), value));
            } else {
                let made = self.beside(table, (columns, old), (hops, column, &value));
                self.after.extend(made);
            }
        }
        for (hop, given) in lists {
            more.extend(self.listed(table, &hop, &given, None));
        }
        for (hop, given) in parts {
            let made = self.part(table, (columns, old), &hop, given);
            self.after.extend(made);
        }
        more
    }

    /// Lists values where they are not yet, and gives the keys that lead to them.
    pub(super) fn listed(
        &mut self,
        table: &TableName,
        hop: &Hop,
        given: &[(Ident, String)],
        row: Option<&Ident>,
    ) -> Vec<(Ident, Expr)> {
        let mut values = Vec::new();
        for field in self.lens.fields(table) {
            let Found::There(hops, column) = self.lens.find(table, &field) else { continue };
            if hops != [hop.clone()] {
                continue;
            }
            let known = given.iter().find(|(c, _)| *c == column).map(|(_, value)| value.clone());
            let was = row.map(|row| self.looked_up(row, &hops, &column).to_string());
            if known.is_none() && was.is_some() {
                self.trouble(format!("`{}` lists several values at once: give them all", hop.to.short()));
            }
            values.push((column, known.unwrap_or_else(|| "NULL".to_owned())));
        }
        let far = names::table(self.lens, &hop.to);
        let equal = if values.len() == 1 { "=" } else { "IS NOT DISTINCT FROM" };
        let each =
            |form: &dyn Fn(&(Ident, String)) -> String, by: &str| values.iter().map(form).collect::<Vec<_>>().join(by);
        let is = each(&|(column, value)| format!("{column} {equal} {value}"), " AND ");
        let text = format!(
            "INSERT INTO {far} ({}) SELECT {} WHERE ({}) AND NOT EXISTS (SELECT 1 FROM {far} WHERE {is})",
            each(&|(column, _)| column.to_string(), ", "),
            each(&|(_, value)| value.clone(), ", "),
            each(&|(_, value)| format!("{value} IS NOT NULL"), " OR "),
        );
        let made = names::statement(&text);
        let keys = hop.on.iter().filter_map(|(near, key)| {
            Some((near.clone(), names::parsed(&format!("(SELECT {key} FROM {far} WHERE {is})"))?))
        });
        let keys: Vec<(Ident, Expr)> = keys.collect();
        match made {
            Some(made) if keys.len() == hop.on.len() => self.before.push(made),
            _ => self.trouble(format!("the statement that lists values in `{}` cannot be said", hop.to.short())),
        }
        keys
    }

    /// The statement that writes a value of a new row where it is now.
    fn beside(
        &mut self,
        table: &TableName,
        (columns, row): (&[Ident], &[Expr]),
        (hops, column, value): (&[Hop], &Ident, &str),
    ) -> Option<Statement> {
        // A row that does not say it leaves it as it is.
        if ["NULL", "DEFAULT"].iter().any(|nothing| value.eq_ignore_ascii_case(nothing)) {
            return None;
        }
        let [hop] = hops else {
            self.trouble(format!("`{column}` is several tables away: write it there"));
            return None;
        };
        let key = self.key(table, (columns, row), hop)?;
        let key: Vec<String> = key.iter().map(|(far, value)| format!("{far} = {value}")).collect();
        self.note(hop, column);
        let far = object(self.lens, &hop.to);
        names::statement(&format!("UPDATE {far} SET {column} = {value} WHERE {}", key.join(" AND ")))
    }

    /// The values by which a new row refers to another.
    fn key(
        &mut self,
        table: &TableName,
        (columns, row): (&[Ident], &[Expr]),
        hop: &Hop,
    ) -> Option<Vec<(Ident, String)>> {
        let mut key = Vec::new();
        for (near, far) in &hop.on {
            let own = columns.iter().position(|c| self.lens.find(table, c) == Found::Here(near.clone()));
            let Some(referring) = own.and_then(|own| row.get(own)) else {
                let to = hop.to.short();
                self.trouble(format!(
                    "`{to}` has some of its fields now: find or make the row there, and give `{near}`"
                ));
                return None;
            };
            key.push((far.clone(), referring.to_string()));
        }
        Some(key)
    }

    /// The statement that makes the part of a new row which another table has.
    fn part(
        &mut self,
        table: &TableName,
        of: (&[Ident], &[Expr]),
        hop: &Hop,
        given: Vec<(Ident, String)>,
    ) -> Option<Statement> {
        let all: Vec<(Ident, String)> = self.key(table, of, hop)?.into_iter().chain(given).collect();
        let (names, values): (Vec<String>, Vec<String>) = all.into_iter().map(|(n, v)| (n.to_string(), v)).unzip();
        let far = names::table(self.lens, &hop.to);
        names::statement(&format!("INSERT INTO {far} ({}) VALUES ({})", names.join(", "), values.join(", ")))
    }
}
