//! Refactorings of two branches: do they commute, or clash?
//!
//! Pure. Two refactorings commute if each makes sense after the other, both orders end in the same tables, and neither
//! reads what the other changes. Branches commute if each refactoring of the one commutes with each of the other where
//! they meet; so a clash always has two names, and never does the last one win.

pub mod follow;
pub(crate) mod footprint;
pub mod order;
pub mod shape;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalogue::Refactor;
use crate::journal::Entry;
use crate::name::{Ident, TableName};
use crate::refusal::Refusal;
use crate::relation::Relation;
use crate::schema::Schema;
use crate::sql::code::has_word;
use crate::version::{Step, Version};
use footprint::{Read, reads, touched, traces};

/// Two refactorings of which the order matters, or that cannot both be.
#[derive(Debug, Clone, PartialEq)]
pub struct Clash {
    /// The one of our branch.
    pub ours: String,
    /// The one of the other branch.
    pub theirs: String,
    /// The table that they clash on.
    pub table: Option<TableName>,
    /// The field, if it is one.
    pub field: Option<Ident>,
    /// Why.
    pub why: Vec<String>,
    /// Whether theirs makes sense after ours, and ours after theirs.
    pub may_follow: [bool; 2],
    /// Whether both do the same.
    pub same: bool,
    /// The one that can be written anew so that it comes after the other.
    pub adapted: Option<follow::Adapted>,
}

/// What became of two branches.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    /// Where they clash; they commute if nowhere.
    pub clashes: Vec<Clash>,
    /// The tables that refactorings of both or either touch, as they are in the end, whatever the order.
    pub tables: BTreeSet<TableName>,
    /// Tables that have the same fields in the order in which they came.
    pub reordered: BTreeSet<TableName>,
    /// How many pairs were decided.
    pub pairs: usize,
}

impl Decision {
    /// Whether both orders give the same.
    #[must_use]
    pub fn commutes(&self) -> bool {
        self.clashes.is_empty()
    }
}

/// One refactoring over tables that are real.
struct One<'s> {
    step: &'s Step,
    before: &'s Arc<Schema>,
    version: Version,
    after: Arc<Schema>,
}

impl<'s> One<'s> {
    fn over(before: &'s Arc<Schema>, step: &'s Step) -> Result<Self, Refusal> {
        let version = Version::base(before.clone()).after(step)?;
        let after = Arc::new(version.as_schema());
        if let Some((table, name)) = shape::twice(&after).filter(|_| shape::twice(before).is_none()) {
            let place = format!("schema `{}`", table.schema);
            return Err(Refusal::Taken {
                place,
                kind: "something named".into(),
                name,
                hint: "choose another name".into(),
            });
        }
        Ok(Self { step, before, version, after })
    }

    /// The fields that are not where they were.
    fn gone(&self) -> impl Iterator<Item = Read> {
        let tables = self.before.tables.iter();
        let fields = tables.flat_map(|(name, table)| table.fields.iter().map(move |f| (name.clone(), f.name.clone())));
        fields
            .filter(|(table, field)| {
                follow::now(&self.version, table, field).is_none_or(|(there, now)| there != *table || now != *field)
            })
            .map(|(table, field)| Read::Field(table, field))
    }

    /// Whether the file of this names a field.
    fn says(&self, field: Option<&Ident>) -> bool {
        let text = toml::to_string(&self.step.refactoring).unwrap_or_default();
        field.is_some_and(|field| has_word(&text, field.as_str()))
    }

    fn touches(&self) -> impl Iterator<Item = &Relation> {
        self.version.relations.values().filter(|r| r.is_touched())
    }
}

/// Decides about two branches that start from the same tables. Where a refactoring can be written anew to come after
/// another one, what comes later is asked of what it would be then.
///
/// # Errors
/// A refactoring that makes no sense on its own branch.
pub fn decide(schema: &Arc<Schema>, ours: &[Entry], theirs: &[Entry]) -> Result<Decision, (String, Refusal)> {
    let steps = |entries: &[Entry]| entries.iter().map(|e| e.step.clone()).collect::<Vec<_>>();
    let (ours, mut theirs) = (steps(ours), steps(theirs));
    let mut decision = Decision::default();
    // The tables with what theirs has done so far, without ours yet.
    let mut row = vec![schema.clone()];
    for step in &theirs {
        let after = decision.see(&row[row.len() - 1], step)?;
        row.push(after);
    }
    for mut step in ours {
        let mut next = vec![decision.see(&row[0], &step)?];
        for at in 0..row.len() - 1 {
            decision.pairs += 1;
            let clash = match square(&row[at], &step, &theirs[at]) {
                Ok((both, reordered)) => {
                    decision.reordered.extend(reordered);
                    next.push(both);
                    continue;
                }
                Err(clash) => clash,
            };
            let anew = clash
                .adapted
                .clone()
                .map(|a| (a.after == step.name, Step { name: a.name, refactoring: a.refactoring }));
            decision.clashes.push(*clash);
            let Some((is_theirs, anew)) = anew else { break }; // What comes later may rest on it.
            let before = if is_theirs { &next[at] } else { &row[at + 1] };
            let Ok(both) = One::over(before, &anew).map(|one| one.after) else { break };
            next.push(both);
            *if is_theirs { &mut theirs[at] } else { &mut step } = anew;
        }
        row = next;
    }
    let last = &row[row.len() - 1];
    decision.tables.retain(|table| last.tables.contains_key(table));
    Ok(decision)
}

impl Decision {
    /// Notes what a refactoring touches on its own branch, and gives the tables after it.
    fn see(&mut self, before: &Arc<Schema>, step: &Step) -> Result<Arc<Schema>, (String, Refusal)> {
        let one = One::over(before, step).map_err(|refusal| (step.name.clone(), refusal))?;
        self.tables.extend(one.touches().map(|r| r.name.clone()));
        Ok(one.after.clone())
    }
}

type Both = (Arc<Schema>, Vec<TableName>);

/// Two refactorings over the same tables: what both give, or why it matters which comes first.
fn square(schema: &Arc<Schema>, ours: &Step, theirs: &Step) -> Result<Both, Box<Clash>> {
    let mut clash = Clash {
        ours: ours.name.clone(),
        theirs: theirs.name.clone(),
        table: None,
        field: None,
        why: Vec::new(),
        may_follow: [true, true],
        same: ours.refactoring == theirs.refactoring,
        adapted: None,
    };
    let (a, b) = match (One::over(schema, ours), One::over(schema, theirs)) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(refusal), _) | (_, Err(refusal)) => {
            clash.why.push(refusal.to_string());
            return Err(Box::new(clash));
        }
    };
    let (ab, ba) = (One::over(&a.after, theirs), One::over(&b.after, ours));
    clash.may_follow = [ab.is_ok(), ba.is_ok()];
    for (first, second, then) in [(&a, &b, &ab), (&b, &a, &ba)] {
        if let Err(refusal) = then {
            refused(&mut clash, first, second, refusal);
        }
    }
    let (ab, ba) = match (ab, ba) {
        (Ok(ab), Ok(ba)) => (ab, ba),
        (ab, ba) => {
            // Ours follows, if it can: what the other branch has may be elsewhere already.
            clash.adapted = (ba.is_err().then(|| follow::adapted(&b, &a, ab.as_ref().ok())).flatten())
                .or_else(|| ab.is_err().then(|| follow::adapted(&a, &b, ba.as_ref().ok())).flatten());
            return Err(Box::new(clash));
        }
    };
    if let Some(text) = clash.same.then(|| format!("both {}", ours.refactoring.wish())) {
        clash.why.push(text);
    } else if let Some(difference) = shape::difference(&ab.after, &ba.after) {
        (clash.table, clash.field) = (Some(difference.table), difference.field);
        clash.why.push(format!("both orders are possible, but do not end in the same tables: {}", difference.what));
    }
    let reordered = shape::reordered(&ab.after, &ba.after);
    let asked = |name: &TableName| ab.version.relations.get(name).is_some_and(|r| r.ordered_by.is_some());
    let asked =
        |name: &&TableName| asked(name) || ba.version.relations.get(*name).is_some_and(|r| r.ordered_by.is_some());
    if let Some(table) = reordered.iter().find(asked).filter(|_| clash.why.is_empty()) {
        clash.table = Some(table.clone());
        clash.why.push(format!("the fields of `{}` would stand in another order", table.short()));
    }
    if clash.why.is_empty() {
        for (reader, changer, then) in [(&b, &a, &ab), (&a, &b, &ba)] {
            if let Some((what, why)) = reads_what_changes(reader, changer, then) {
                (clash.table, clash.field) = (Some(what.table().clone()), what.field().cloned());
                clash.why.push(why);
                break;
            }
        }
    }
    if clash.why.is_empty() {
        Ok((ab.after, reordered))
    } else {
        clash.place(&a, &b);
        Err(Box::new(clash))
    }
}

impl Clash {
    /// Names at least the table that both touch.
    fn place(&mut self, a: &One, b: &One) {
        let both = |r: &&Relation| b.touches().any(|other| other.base == r.base);
        if self.table.is_none() {
            let table = a.touches().find(both).or_else(|| a.touches().next()).or_else(|| b.touches().next());
            self.table = table.map(|r| r.name.clone());
        }
    }

    /// What they clash on, in words.
    #[must_use]
    pub fn place_in_words(&self) -> String {
        match (&self.table, &self.field) {
            (Some(table), Some(field)) => format!("`{}.{field}`", table.short()),
            (Some(table), None) => format!("`{}`", table.short()),
            _ => "the same things".into(),
        }
    }
}

/// Notes why a refactoring makes no sense after another one.
fn refused(clash: &mut Clash, first: &One, second: &One, refusal: &Refusal) {
    let (mut table, mut field) = named(first.before, refusal);
    if field.is_none()
        && let Some(read) = first.gone().find(|gone| second.says(gone.field()))
    {
        (table, field) = (Some(read.table().clone()), read.field().cloned());
    }
    let fate = table.as_ref().and_then(|table| fate(first, table, field.as_ref()));
    let because = fate.map_or_else(|| refusal.to_string(), |fate| format!("{refusal}: {} {fate}", first.step.name));
    clash.why.push(format!(
        "after {}, {} cannot {}: {because}",
        first.step.name,
        second.step.name,
        second.step.refactoring.wish()
    ));
    if clash.table.is_none() {
        (clash.table, clash.field) = (table, field);
        clash.place(first, second);
    }
}

/// The table and the field that a refusal is about.
fn named(schema: &Arc<Schema>, refusal: &Refusal) -> (Option<TableName>, Option<Ident>) {
    let version = Version::base(schema.clone());
    let table = |wanted| version.find(wanted).ok().map(|r| r.name.clone());
    match refusal {
        Refusal::NoTable { table: wanted, .. } | Refusal::GoneTable { table: wanted, .. } => (table(wanted), None),
        Refusal::NoField { table, field, .. } => (Some(table.clone()), Some(field.clone())),
        Refusal::Entangled { field, .. } | Refusal::NotMaterialized { field, .. } => {
            (table(&field.table), Some(field.field.clone()))
        }
        Refusal::Taken { place, kind, name, .. } => {
            let is_it =
                |t: &&TableName| *place == format!("`{}`", t.short()) || place.ends_with(&format!("`{}`", t.short()));
            (schema.tables.keys().find(is_it).cloned(), Some(name.clone()).filter(|_| kind.contains("field")))
        }
        Refusal::NoKey { table } | Refusal::Divided { table, .. } | Refusal::TableKind { table, .. } => {
            (Some(table.clone()), None)
        }
        _ => (None, None),
    }
}

/// What a refactoring made of a table, or of a field of it.
fn fate(one: &One, table: &TableName, field: Option<&Ident>) -> Option<String> {
    let version = &one.version;
    let Some(relation) = version.over(table) else { return Some(format!("takes `{}` away", table.short())) };
    let Some(field) = field else {
        return (relation.name != *table).then(|| format!("makes it `{}`", relation.name.short()));
    };
    if !one.before.tables.get(table).is_some_and(|t| t.fields.iter().any(|f| f.name == *field)) {
        return relation.field(field).map(|_| format!("gives the name `{field}` to a field, too"));
    }
    match follow::now(version, table, field) {
        Some((there, name)) if there == relation.name && name == *field => None,
        Some((there, name)) if there == *table => Some(format!("renames it to `{name}`")),
        Some((there, name)) => Some(format!("makes it `{}.{name}`", there.short())),
        None => Some("takes the field away".into()),
    }
}

/// What a refactoring reads that another one changes, and so would do something else after it.
fn reads_what_changes(reader: &One, changer: &One, then: &One) -> Option<(Read, String)> {
    let (who, by) = (&reader.step.name, &changer.step.name);
    let in_words = |read: &Read| match read {
        Read::Field(table, field) => format!("`{}.{field}`", table.short()),
        Read::Rows(table) => format!("the rows of `{}`", table.short()),
    };
    let of = |one: &One| match one.step.refactoring.data() {
        Some(data) => touched(data, one.before).reads,
        None => reads(&one.version, one.before),
    };
    let told = |what: &Read| Some((what.clone(), format!("{who} reads {}, which {by} changes", in_words(what))));
    let first = of(reader);
    if let Some(data) = changer.step.refactoring.data() {
        let touched = touched(data, changer.before);
        let grown = reader.touches().find(|r| touched.grown.contains(&r.base));
        return match (first.iter().find(|read| touched.changes.contains(read)), grown) {
            (Some(read), _) => told(read),
            (None, Some(r)) => told(&Read::Rows(r.base.clone())),
            (None, None) => None,
        };
    }
    let traces = traces(&changer.version);
    let mut later = BTreeSet::new();
    for read in of(then) {
        match traces.get(&read) {
            Some(Some(was)) => {
                later.insert(was.clone());
            }
            Some(None) => return told(&read),
            None => {}
        }
    }
    let gone = first.iter().find(|read| !later.contains(read));
    gone.or_else(|| later.iter().find(|read| !first.contains(read))).and_then(told)
}
