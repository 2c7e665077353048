//! What reads the tables by their numbers: locked before them, taken down before they change, made anew afterwards.

use std::collections::{BTreeMap, BTreeSet};

use crate::generate::{dependents as sql, list};
use crate::name::{Ident, TableName, shell};
use crate::plan::dependents::{Dependent, Fate, Kind, go_along};
use crate::plan::materialize::ahead::Ahead;
use crate::plan::materialize::{Options, Way, column_names, rename_columns, rename_tables};
use crate::plan::{Plan, PlanStep};
use crate::version::Version;

/// What reads the tables, and what is done with it.
#[derive(Debug, Default)]
pub struct Dependents {
    /// Each with the body that it had.
    dropped: Vec<(Dependent, String)>,
    anew: Vec<Dependent>,
    /// Each with its new body.
    over: Vec<(Dependent, String)>,
    lost: Vec<Dependent>,
}

impl Dependents {
    /// `bodies`: what those that read what is elsewhere then have to be, by their names.
    #[must_use]
    pub fn new(mut all: Vec<Dependent>, bodies: &BTreeMap<String, String>, options: &Options) -> Self {
        let is_dropped = |one: &Dependent| options.drop.iter().any(|name| one.is_called(name));
        go_along(&mut all, is_dropped);
        let mut sorted = Self::default();
        for one in all {
            match (&one.fate, bodies.get(&one.name)) {
                (_, body) if is_dropped(&one) => sorted.dropped.push((one, body.cloned().unwrap_or_default())),
                (Fate::Stays, _) => {}
                (Fate::Anew, _) => sorted.anew.push(one),
                (Fate::Over(_), Some(body)) => sorted.over.push((one, body.clone())),
                (Fate::Over(_), None) | (Fate::Lost, _) => sorted.lost.push(one),
            }
        }
        sorted
    }

    /// Says what is given up, and what stands in the way.
    pub(super) fn tell(&self, plan: &mut Plan) {
        let lost = |(d, body): &(Dependent, String)| format!("{}, as you said; it was\n{}", d.who(), body.trim_end());
        plan.losses.extend(self.dropped.iter().map(lost));
        plan.obstacles.extend(self.lost.iter().map(|d| format!("{} reads `{}`", d.who(), d.reads)));
        let filled: Vec<&Dependent> = self.made().filter(|d| d.kind == Kind::Materialized).collect();
        if !filled.is_empty() {
            plan.notes.push(format!("filled anew, with the rows of that moment: {}", names(filled.into_iter())));
        }
        if !self.over.is_empty() {
            let fields: BTreeSet<String> = self.over.iter().map(|(d, _)| format!("`{}`", d.reads)).collect();
            let (fields, readers) =
                (list(&fields.into_iter().collect::<Vec<_>>()), names(self.over.iter().map(|(d, _)| d)));
            plan.notes.push(format!("will read {fields} where it is then, and cannot be written through: {readers}"));
        }
    }

    /// What to do about what stands in the way.
    #[must_use]
    pub fn hint(&self, obstacles: &[String]) -> String {
        let dropped = self.dropped.iter().map(|(d, _)| d).filter(|_| !self.lost.is_empty());
        let drop: String = dropped.chain(&self.lost).map(|d| format!(" --drop {}", shell(&d.short))).collect();
        let others = "change or drop these first; the deferred shape goes on working";
        match drop.is_empty() {
            true => others.to_owned(),
            false if self.lost.len() == obstacles.len() => {
                format!(
                    "give them up with `refactor materialize{drop}`, or change them first; the deferred shape goes on working"
                )
            }
            false => format!("{others}; `refactor materialize{drop}` gives up what reads them"),
        }
    }

    fn made(&self) -> impl Iterator<Item = &Dependent> {
        self.anew.iter().chain(self.over.iter().map(|(d, _)| d))
    }

    fn is_empty(&self) -> bool {
        self.dropped.is_empty() && self.made().next().is_none()
    }

    fn words(&self) -> String {
        let made: Vec<&Dependent> = self.made().collect();
        match made.len() {
            0..=4 => names(made.into_iter()),
            many => format!("{}, and {} more", names(made.into_iter().take(3)), many - 3),
        }
    }

    pub(super) fn lock(&self) -> Result<Option<PlanStep>, askama::Error> {
        let all = || self.dropped.iter().map(|(d, _)| d).chain(self.made()).filter(|d| d.kind != Kind::Function);
        let views: Vec<&str> = all().map(|d| d.name.as_str()).collect();
        if views.is_empty() {
            return Ok(None);
        }
        let short: Vec<&str> = all().map(|d| d.short.as_str()).collect();
        let names = list(&short);
        let step = PlanStep::new("stop who reads the tables through views", sql::lock(&views)?);
        Ok(Some(step.locking(format!("ACCESS EXCLUSIVE on {names}, and on views over them, until the end"))))
    }

    pub(super) fn down(&self, version: &Version) -> Result<Option<PlanStep>, askama::Error> {
        if self.is_empty() {
            return Ok(None);
        }
        let over: Vec<(&str, &str)> = self.over.iter().map(|(d, body)| (d.name.as_str(), body.as_str())).collect();
        let dropped: Vec<&str> = self.dropped.iter().map(|(d, _)| d.name.as_str()).collect();
        let anew: Vec<&str> = self.anew.iter().map(|d| d.name.as_str()).collect();
        let sql = sql::down(&dropped, &anew, &over, &renames(version))?;
        let mut sentence = Vec::new();
        if !dropped.is_empty() {
            sentence.push(format!("drop {}", names(self.dropped.iter().map(|(d, _)| d))));
        }
        if self.made().next().is_some() {
            sentence.push(format!("take down what reads the tables: {}", self.words()));
        }
        Ok(Some(PlanStep::new(sentence.join("; "), sql)))
    }

    pub(super) fn up(&self) -> Result<Option<PlanStep>, askama::Error> {
        if self.is_empty() {
            return Ok(None);
        }
        let words = self.words();
        let sentence = if words.is_empty() { "tidy up".to_owned() } else { format!("make anew {words}") };
        Ok(Some(PlanStep::new(sentence, sql::up()?)))
    }
}

fn names<'d>(dependents: impl Iterator<Item = &'d Dependent>) -> String {
    list(&dependents.map(Dependent::who).collect::<Vec<_>>())
}

/// The names that tables and fields will have, given to those that are there: what they no longer have steps aside.
fn renames(version: &Version) -> String {
    let mut sql = Vec::new();
    let heirs: Vec<_> = version.touched().filter(|r| r.is_heir()).collect();
    for relation in &heirs {
        let (mut names, gone) = column_names(version, relation);
        names.extend(gone.iter().enumerate().map(|(at, c)| ((*c).clone(), Ident::new(format!("refactor_gone_{at}")))));
        names.retain(|(from, to)| from != to);
        sql.push(rename_columns(&relation.base, &names));
    }
    let taken: BTreeSet<&TableName> = heirs.iter().filter(|r| r.name != r.base).map(|r| &r.name).collect();
    let stay: BTreeSet<&TableName> = heirs.iter().map(|r| &r.base).collect();
    for (at, table) in
        taken.iter().filter(|t| version.schema.tables.contains_key(**t) && !stay.contains(**t)).enumerate()
    {
        sql.push(format!("ALTER TABLE {table} RENAME TO {};", Ident::new(format!("refactor_gone_{at}"))));
    }
    let ways: Vec<_> = heirs.iter().map(|r| (*r, Way::InPlace)).collect();
    sql.extend(rename_tables(&ways, &Ahead::default()).into_iter().map(|step| step.sql));
    sql.retain(|s| !s.is_empty());
    sql.join("\n")
}
