//! Whether values may leave a table for another one. Whoever may use the one is not whoever may use the other, and row
//! policies stay with their table, so that is asked of every step, by what a version is made of and not by what it is called.

use std::collections::BTreeSet;

use crate::name::{Ident, TableName};
use crate::refusal::{Refusal, list};
use crate::relation::{Field, Home, Relation};
use crate::schema::{Grant, Table, grantee};
use crate::sql::Expression;
use crate::version::{Direction, Missing, Unlisted, Version};

/// Values of one table that another one shows, or will have.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Crossing {
    /// The physical table that they leave, and what is read of it; nothing is everything.
    from: TableName,
    columns: Vec<Ident>,
    /// The one that gets them, or rows of it that a refactoring tells apart.
    to: TableName,
    /// What is written there is stored where they come from: these columns.
    written: Vec<Ident>,
    /// What is written to one row may change what others show.
    shared: bool,
    /// It rests on triggers that look at both tables as their owner.
    watched: bool,
    /// Privileges stand nothing in its way.
    open: bool,
}

/// A privilege on a table that values come to, of somebody who has not got it where they come from, as far as the tables'
/// own lists tell: he may have it by another role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// The role; `None` is PUBLIC.
    pub role: Option<Ident>,
    /// `SELECT` or `UPDATE`.
    pub privilege: &'static str,
    /// The table that the values leave.
    pub from: TableName,
    /// What of it; nothing is everything.
    pub columns: Vec<Ident>,
    /// The table that gets them.
    pub to: TableName,
    /// The field there, if the privilege is on it alone.
    pub field: Option<Ident>,
}

impl Suspect {
    /// Why values must not come to somebody who has no right to them.
    #[must_use]
    pub fn refusal(&self, version: &Version) -> Refusal {
        let (from, mut to) = (shown(version, &self.from), shown(version, &self.to));
        to.extend(self.field.iter().map(|f| format!(".{}", f.as_str())));
        let field = self.field.as_ref().map(|f| format!(" ({f})")).unwrap_or_default();
        let role = grantee(self.role.as_ref());
        let (may, verb) = if self.privilege == "SELECT" { ("read", "reads") } else { ("write", "writes") };
        let fields: Vec<String> = self.columns.iter().map(|c| c.as_str().to_owned()).collect();
        let (what, columns) = match &*self.columns {
            [] => (format!("`{from}`"), String::new()),
            columns => (
                format!("{} of `{from}`", list(&fields)),
                format!(" ({})", columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
            ),
        };
        let privilege = self.privilege;
        Refusal::Other {
            why: format!(
                "{role} may {may} `{to}`, but has no privilege to {may} {what}: whoever {verb} the one would get at the other"
            ),
            hint: Some(format!(
                "if it may, say so: `GRANT {privilege}{columns} ON {} TO {role}`; else take the other away: `REVOKE {privilege}{field} ON {} FROM {role}`",
                self.from, self.to
            )),
        }
    }
}

/// What a table is called in a version.
fn shown(version: &Version, table: &TableName) -> String {
    version.over(table).map_or(table, |r| &r.name).short()
}

/// Whether a role has a privilege on a whole table, or on all of these columns, as far as the table's own lists tell.
fn has(table: &Table, columns: &[Ident], role: Option<&Ident>, privilege: &str) -> bool {
    let has_it = |g: &Grant| g.privilege == privilege && (g.role.is_none() || g.role.as_ref() == role);
    let granted = |grants: &[Grant]| grants.iter().any(has_it);
    let of_field = |column: &Ident| table.fields.iter().any(|f| f.name == *column && granted(&f.grants));
    granted(table.grants.as_deref().unwrap_or_default()) || !columns.is_empty() && columns.iter().all(of_field)
}

impl Version {
    /// Refuses a step by which values would leave tables whose rows not everybody may see: `before` is the version without it.
    ///
    /// # Errors
    /// Names the table.
    pub fn may_cross(&self, before: &Self) -> Result<(), Refusal> {
        let secured = |table: &TableName| self.schema.tables.get(table).is_some_and(|t| t.row_security);
        let refuse = |table: &TableName, why: String| {
            let hint = format!(
                "if everybody may see all of its rows: `ALTER TABLE {table} DISABLE ROW LEVEL SECURITY`; else do it by hand, with policies for what is new"
            );
            Err(Refusal::TableKind { table: table.clone(), why, hint: Some(hint) })
        };
        for crossing in self.new_crossings(before) {
            let Crossing { from, to, .. } = &crossing;
            if secured(from) {
                let to = shown(self, to);
                return refuse(from, format!("has row policies, which would not hold for its values in `{to}`"));
            }
            if secured(to) && crossing.shared {
                let from = shown(self, from);
                return refuse(
                    to,
                    format!(
                        "has row policies, and what is written to one row would change what others show of `{from}`"
                    ),
                );
            }
            let forced = |t: &Table| t.row_security && t.force_row_security;
            if crossing.watched && self.schema.tables.get(to).is_some_and(forced) {
                return refuse(
                    to,
                    "has row policies that bind its owner, too, and our triggers look at it as its owner".into(),
                );
            }
        }
        Ok(())
    }

    /// Who owns one of these tables and may do everything with the others, as far as their own lists tell.
    #[must_use]
    pub fn able_owner(&self, tables: &[&TableName]) -> Option<&Ident> {
        let all: Vec<&Table> = tables.iter().filter_map(|t| self.schema.tables.get(*t)).collect();
        let may = |table: &Table, role: &Ident| {
            let has = |privilege: &str| {
                let granted = table.grants.iter().flatten().filter(|g| g.privilege == privilege);
                granted.clone().any(|g| g.role.as_ref().is_none_or(|r| r == role))
            };
            table.owner.as_ref() == Some(role) || ["SELECT", "INSERT", "UPDATE", "DELETE"].into_iter().all(has)
        };
        let owners = all.iter().filter_map(|t| t.owner.as_ref());
        owners.into_iter().find(|owner| all.iter().all(|t| may(t, owner)))
    }

    /// Tables of several owners of which none may use the others: what is to act as their owner would act as whoever
    /// refactors, and so would the triggers that somebody else has put on them. Gives a table, and the trigger.
    #[must_use]
    pub fn strange_triggers(&self, before: &Self) -> Vec<(TableName, TableName, Ident)> {
        let crossings = self.new_crossings(before);
        let pairs = crossings.iter().filter(|c| c.watched && self.able_owner(&[&c.from, &c.to]).is_none());
        let both = pairs.flat_map(|c| [(&c.from, &c.to), (&c.to, &c.from)]);
        let triggers = both.filter_map(|(table, other)| {
            let trigger = self.schema.tables.get(table)?.triggers.iter().find(|t| t.enabled != 'D')?;
            Some((table.clone(), other.clone(), trigger.name.clone()))
        });
        triggers.collect()
    }

    /// Who would get at values by privileges on the table that they come to.
    #[must_use]
    pub fn suspects(&self, before: &Self) -> Vec<Suspect> {
        let mut all: Vec<Suspect> = Vec::new();
        let crossings = self.new_crossings(before);
        let by_table = crossings.iter().flat_map(|crossing| self.suspects_of(crossing));
        for one in by_table.chain(self.suspects_by_field(before)) {
            let same = |s: &&mut Suspect| {
                (&s.role, s.privilege, &s.from, &s.to, &s.field)
                    == (&one.role, one.privilege, &one.from, &one.to, &one.field)
            };
            let Some(first) = all.iter_mut().find(same) else {
                all.push(one);
                continue;
            };
            // Nothing is everything.
            if first.columns.is_empty() || one.columns.is_empty() {
                first.columns.clear();
            } else {
                let more: Vec<Ident> = one.columns.into_iter().filter(|c| !first.columns.contains(c)).collect();
                first.columns.extend(more);
            }
        }
        all
    }

    fn suspects_of(&self, crossing: &Crossing) -> Vec<Suspect> {
        let Crossing { from, columns, to, written, open, .. } = crossing;
        let (Some(source), Some(target), false) = (self.schema.tables.get(from), self.schema.tables.get(to), *open)
        else {
            return Vec::new();
        };
        let mut suspects = BTreeSet::new();
        for (privilege, columns) in [("SELECT", columns), ("UPDATE", written)] {
            if privilege == "UPDATE" && written.is_empty() {
                continue;
            }
            for grant in target.grants.iter().flatten().filter(|g| g.privilege == privilege) {
                if !has(source, columns, grant.role.as_ref(), privilege)
                    && grant.role != source.owner
                    && grant.role != target.owner
                {
                    suspects.insert((grant.role.clone(), privilege, columns));
                }
            }
        }
        let one = |(role, privilege, columns): (_, _, &Vec<Ident>)| Suspect {
            role,
            privilege,
            columns: columns.clone(),
            from: from.clone(),
            to: to.clone(),
            field: None,
        };
        suspects.into_iter().map(one).collect()
    }

    /// The same for privileges on single fields, which tell values that they did not before.
    fn suspects_by_field(&self, before: &Self) -> Vec<Suspect> {
        let mut all = Vec::new();
        let granted = self.relations.values().flat_map(|r| r.fields.iter().map(move |f| (r, f)));
        for (relation, field) in granted.filter(|(_, f)| !f.shape.grants.is_empty()) {
            let was = before.relations.get(&relation.name).and_then(|r| r.field(&field.shape.name));
            let Some((from, read, written)) = self.told_by(relation, field) else { continue };
            if was.is_some_and(|f| f.home == field.home) || self.made.iter().any(|m| m.table == *from) {
                continue;
            }
            let Some(source) = self.schema.tables.get(from) else { continue };
            for grant in &field.shape.grants {
                let (privilege, columns) = match &*grant.privilege {
                    "SELECT" => ("SELECT", &read),
                    "UPDATE" => ("UPDATE", &written),
                    _ => continue,
                };
                if !columns.is_empty()
                    && !has(source, columns, grant.role.as_ref(), privilege)
                    && grant.role != source.owner
                {
                    all.push(Suspect {
                        role: grant.role.clone(),
                        privilege,
                        from: from.clone(),
                        columns: columns.clone(),
                        to: relation.base.clone(),
                        field: Some(field.shape.name.clone()),
                    });
                }
            }
        }
        all
    }

    /// The table and the columns in it that tell a field, and those that it is written to; none if it is a column.
    fn told_by<'v>(&'v self, relation: &'v Relation, field: &Field) -> Option<(&'v TableName, Vec<Ident>, Vec<Ident>)> {
        let own = |read: &Expression| Some((&relation.base, read.fields().into_iter().collect(), Vec::new()));
        match field.home {
            Home::Own(_) | Home::United(_) | Home::Numbered(_) => None,
            Home::Carried(at) => {
                let column = vec![self.carries[at].column.clone()];
                Some((&self.carries[at].source, column.clone(), column))
            }
            Home::Looked(at, member) => {
                let lookup = &self.lookups[at];
                let column = vec![lookup.shows[member].clone()];
                let writes = !matches!(lookup.missing, Missing::Refuse(_));
                Some((&lookup.other, column.clone(), if writes { column } else { Vec::new() }))
            }
            Home::Shaped(at, member) => {
                let shaped = &self.shaped[at];
                let read = shaped.get[member].fields().into_iter().filter(|f| shaped.columns.contains(f)).collect();
                let put = shaped.columns.iter().zip(&shaped.put);
                let written = put.filter(|(_, put)| put.fields().contains(&shaped.names[member]));
                Some((&relation.base, read, written.map(|(column, _)| column.clone()).collect()))
            }
            Home::Calculated(at) => own(&self.calculated[at].value),
            Home::Added(at) => match (&self.added[at].copied, &self.added[at].seed) {
                (Some(copied), _) => Some((&copied.hop.to, vec![copied.column.clone()], Vec::new())),
                (None, seed) => own(seed.as_ref()?),
            },
        }
    }

    fn new_crossings(&self, before: &Self) -> Vec<Crossing> {
        let old = before.crossings();
        self.crossings().into_iter().filter(|c| !old.contains(c)).collect()
    }

    /// Everything by which values of a table are shown by another, or will be in another.
    fn crossings(&self) -> Vec<Crossing> {
        let mut all = Crossings(Vec::new());
        for carry in &self.carries {
            let hops = carry.hops.iter().flat_map(|h| [(&h.from, &h.from_columns), (&h.to, &h.to_columns)]);
            let column = vec![carry.column.clone()];
            for (table, columns) in hops.chain([(&carry.source, &column)]) {
                if *table != carry.target || *table == carry.source {
                    let crossing = all.add(table, columns.clone(), &carry.target);
                    crossing.watched = true;
                    crossing.shared = carry.direction == Direction::Down;
                    crossing.written = if columns == &column { column.clone() } else { Vec::new() };
                }
            }
        }
        for lookup in &self.lookups {
            let read = [&*lookup.found_by, &lookup.shows].concat();
            let crossing = all.add(&lookup.other, read, &lookup.table);
            crossing.watched = true;
            if !matches!(lookup.missing, Missing::Refuse(_)) {
                crossing.written.clone_from(&lookup.shows);
            }
            if lookup.unlisted == Unlisted::Insert {
                all.add(&lookup.table, lookup.columns.clone(), &lookup.other);
            }
        }
        for (added, copied) in self.added.iter().filter_map(|a| Some((a, a.copied.as_ref()?))) {
            let columns = [std::slice::from_ref(&copied.column), &copied.hop.to_columns].concat();
            all.add(&copied.hop.to, columns, &added.table);
        }
        for (first, branch) in self.unions.iter().flat_map(|u| u.branches[1..].iter().map(|b| (&u.branches[0], b))) {
            let columns = (0..branch.sources.len()).filter_map(|at| branch.column(at).cloned()).collect();
            all.add(&branch.table, columns, &first.table);
            // A row goes from one to the other as it is written, but whoever has the others only loses them.
            all.add(&first.table, Vec::new(), &branch.table).open = true;
        }
        for link in &self.links {
            all.add(&link.table, [&*link.key, &link.columns].concat(), &link.links);
        }
        for spread in &self.spreads {
            all.add(&spread.table, [&*spread.key, &spread.columns].concat(), &spread.rows);
        }
        for (told, table) in self.told.iter().flat_map(|t| t.names.iter().map(move |name| (t, name))) {
            all.add(table, Vec::new(), &told.table);
        }
        for relation in self.relations.values().filter(|r| !r.is_heir()) {
            all.add(&relation.base, Vec::new(), &relation.name).open = true;
        }
        // What a table that only the new shape has got from others is theirs.
        all.0.retain(|c| self.made.iter().all(|m| m.table != c.from));
        all.0
    }
}

/// What is found, as it is put together.
struct Crossings(Vec<Crossing>);

impl Crossings {
    fn add(&mut self, from: &TableName, columns: Vec<Ident>, to: &TableName) -> &mut Crossing {
        let (from, to) = (from.clone(), to.clone());
        self.0.push(Crossing { from, columns, to, written: Vec::new(), shared: false, watched: false, open: false });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }
}
