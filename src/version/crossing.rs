//! Whether values may leave a table for another one. Row policies stay with their table, so that is asked of every step, by
//! what a version is made of and not by what the step is called.

use crate::name::TableName;
use crate::refusal::Refusal;
use crate::version::{Direction, Unlisted, Version};

/// Values of one table that another one shows, or will have.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Crossing {
    /// The physical table that they leave.
    from: TableName,
    /// The one that gets them, or rows of it that a refactoring tells apart.
    to: TableName,
    /// What is written to one row may change what others show.
    shared: bool,
    /// It rests on triggers that look at both tables as their owner.
    watched: bool,
}

impl Crossing {
    fn new(from: &TableName, to: &TableName) -> Self {
        Self { from: from.clone(), to: to.clone(), shared: false, watched: false }
    }

    fn watched(self) -> Self {
        Self { watched: true, ..self }
    }
}

impl Version {
    /// Refuses a step by which values would leave tables whose rows not everybody may see: `before` is the version without it.
    ///
    /// # Errors
    /// Names the table.
    pub fn may_cross(&self, before: &Self) -> Result<(), Refusal> {
        let old = before.crossings();
        let called = |table: &TableName| self.over(table).map_or(table, |r| &r.name).short();
        let secured = |table: &TableName| self.schema.tables.get(table).is_some_and(|t| t.row_security);
        let forced = |table: &TableName| self.schema.tables.get(table).is_some_and(|t| t.force_row_security);
        for Crossing { from, to, shared, watched } in self.crossings().iter().filter(|c| !old.contains(c)) {
            let (table, why) = if secured(from) {
                (from, format!("has row policies, which would not hold for its values in `{}`", called(to)))
            } else if secured(to) && *shared {
                let why = "has row policies, and what is written to one row would change what others show of";
                (to, format!("{why} `{}`", called(from)))
            } else if secured(to) && *watched && forced(to) {
                (to, "has row policies that bind its owner, too, and our triggers look at it as its owner".to_owned())
            } else {
                continue;
            };
            let hint = format!(
                "if everybody may see all of its rows: `ALTER TABLE {table} DISABLE ROW LEVEL SECURITY`; else do it by hand, with policies for what is new"
            );
            return Err(Refusal::TableKind { table: table.clone(), why, hint: Some(hint) });
        }
        Ok(())
    }

    /// Everything by which values of a table are shown by another, or will be in another.
    fn crossings(&self) -> Vec<Crossing> {
        let mut all = Vec::new();
        for carry in &self.carries {
            let hops = carry.hops.iter().flat_map(|h| [&h.from, &h.to]).chain([&carry.source]);
            let others = hops.filter(|table| **table != carry.target || **table == carry.source);
            let shared = carry.direction == Direction::Down;
            all.extend(others.map(|table| Crossing { shared, ..Crossing::new(table, &carry.target).watched() }));
        }
        for lookup in &self.lookups {
            all.push(Crossing::new(&lookup.other, &lookup.table).watched());
            if lookup.unlisted == Unlisted::Insert {
                all.push(Crossing::new(&lookup.table, &lookup.other));
            }
        }
        let copied = self.added.iter().filter_map(|a| Some((&a.copied.as_ref()?.hop.to, &a.table)));
        all.extend(copied.map(|(from, to)| Crossing::new(from, to)));
        for (first, branch) in self.unions.iter().flat_map(|u| u.branches[1..].iter().map(|b| (&u.branches[0], b))) {
            all.push(Crossing::new(&branch.table, &first.table));
            all.push(Crossing::new(&first.table, &branch.table));
        }
        all.extend(self.links.iter().map(|link| Crossing::new(&link.table, &link.links)));
        all.extend(self.spreads.iter().map(|spread| Crossing::new(&spread.table, &spread.rows)));
        let told = self.told.iter().flat_map(|t| t.names.iter().map(move |name| (name, &t.table)));
        all.extend(told.map(|(from, to)| Crossing::new(from, to)));
        let parts = self.relations.values().filter(|r| !r.is_heir());
        all.extend(parts.map(|part| Crossing::new(&part.base, &part.name)));
        // What a table that only the new shape has got from others is theirs.
        all.retain(|c| self.made.iter().all(|m| m.table != c.from));
        all
    }
}
