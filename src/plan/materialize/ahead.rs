//! Large tables that are built anew, or are new, while everybody works: built from what the views show, dressed and compared
//! beforehand, and brought up to what others write meanwhile. In the transaction that makes all real only the last of that is left.
//! What is cut off between is ours by its name, and is taken back by the next run.

use crate::fact::{Claim, Fact};
use crate::generate::watched::{self, Watched};
use crate::generate::{fact, get, list, own, rights, rows};
use crate::name::{Ident, TableName};
use crate::plan::materialize::log::{self, Logged};
use crate::plan::materialize::ready::READY;
use crate::plan::materialize::rebuild::{self, dress};
use crate::plan::materialize::{Options, Way};
use crate::plan::{PlanStep, stop_where};
use crate::relation::{Attached, Home, Relation, finds, row_key};
use crate::schema::{Constraint, ConstraintKind, Table, TableKind};
use crate::version::Version;

/// Tables that are built beforehand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ahead {
    tables: Vec<One>,
    /// From how many bytes on a table is one for which it matters how long others wait.
    pub from: i64,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
struct One {
    /// What it will be called.
    name: TableName,
    logged: Logged,
    /// Indexes by which rows are found, for the time of it: name, table, columns.
    lookups: Vec<(Ident, TableName, Vec<Ident>)>,
    /// What is asked of the data, and what stops where rows that were written meanwhile break it. Nothing does where the table
    /// keeps it by itself.
    facts: Vec<(Fact, Option<String>)>,
}

/// What tells the rows of a table that can be built beforehand. None if it cannot, or is too small for it to matter.
#[must_use]
pub fn watched(version: &Version, relation: &Relation, options: &Options) -> Option<Vec<Watched>> {
    let table = version.table(relation);
    let is_new = version.made.iter().any(|m| m.table == relation.base) || version.floor(&relation.base).is_some();
    if table.bytes < options.beside_from || is_new {
        return None;
    }
    keys(version, relation)?;
    let all = watched::of_relation(version, relation)?;
    all.iter().all(|w| can_be_watched(version, &w.table)).then_some(all)
}

/// Whether triggers of a table see all that is written to it. What a subscription brings goes past those that see a statement;
/// row policies that bind its owner hide rows from what they call.
pub(super) fn can_be_watched(version: &Version, table: &TableName) -> bool {
    let plain = |table: &Table| {
        table.kind == TableKind::Plain
            && table.partition_of.is_none()
            && table.inherits.is_empty()
            && table.children.is_empty()
            && !table.is_subscribed
            && !table.force_row_security
    };
    version.schema.tables.get(table).is_none_or(plain)
}

/// The key of the base, as the relation shows it: each field is what it was, and an index finds them.
fn keys(version: &Version, relation: &Relation) -> Option<Vec<Ident>> {
    let shown = |column: &Ident| {
        let field = relation.showing(&version.schema, column)?;
        matches!(field.home, Home::Own(_)).then(|| field.shape.name.clone())
    };
    let keys: Vec<Ident> = row_key(version.table(relation))?.iter().map(shown).collect::<Option<_>>()?;
    finds(relation.indexes.iter().map(|i| &i.item), &keys).then_some(keys)
}

impl Ahead {
    /// Those of a plan.
    #[must_use]
    pub fn new(version: &Version, ways: &[(&Relation, Way)], options: &Options) -> Self {
        let built = ways.iter().filter(|(_, way)| matches!(way, Way::Rebuild | Way::Beside));
        let one = |(at, (relation, _)): (usize, &(&Relation, Way))| {
            One::new(version, relation, at, watched(version, relation, options)?)
        };
        Self { tables: built.enumerate().filter_map(one).collect(), from: options.beside_from }
    }

    fn of(&self, relation: &Relation) -> Option<&One> {
        self.tables.iter().find(|one| one.name == relation.name)
    }

    /// What they will be called.
    pub fn names(&self) -> impl Iterator<Item = &TableName> {
        self.tables.iter().map(|one| &one.name)
    }

    /// Whether a table is built beforehand.
    #[must_use]
    pub fn has(&self, relation: &Relation) -> bool {
        self.of(relation).is_some()
    }

    /// The new table until it has its name.
    #[must_use]
    pub fn draft(&self, relation: &Relation) -> TableName {
        self.of(relation).map_or_else(|| rebuild::draft_table(relation), |one| one.logged.into.clone())
    }

    /// Whether a fact is asked beforehand, and again of what is written meanwhile.
    #[must_use]
    pub fn answers(&self, fact: &Fact) -> bool {
        self.tables.iter().any(|one| one.facts.iter().any(|(asked, _)| asked == fact))
    }

    /// What is done before the transaction.
    #[must_use]
    pub fn before(&self, version: &Version) -> Vec<PlanStep> {
        let tables = self.tables.iter().filter_map(|one| Some((one, version.relations.get(&one.name)?)));
        let built = tables.clone().flat_map(|(one, relation)| one.build(version, relation));
        let compared = tables.clone().map(|(one, relation)| one.compare(version, relation));
        let again = tables.map(|(one, _)| {
            let sentence = format!("bring the new `{}` up to what was written meanwhile", one.name.short());
            PlanStep::new(sentence, one.again()).at_one_moment()
        });
        built.chain(compared).chain(again).collect()
    }

    /// What is left of the building for the transaction.
    #[must_use]
    pub fn then(&self, version: &Version, relation: &Relation) -> Option<PlanStep> {
        let one = self.of(relation)?;
        let mut lines = rebuild::remember_numbers(version, relation);
        lines.extend([one.again(), one.logged.end()]);
        lines.push(log::at_work(&one.logged.into, &version.table(relation).options));
        lines.extend(one.lookups.iter().map(|(name, table, _)| format!("DROP INDEX {};", table.renamed(name.clone()))));
        let sentence = format!("bring the new `{}` up to the last that was written", one.name.short());
        Some(PlanStep::new(sentence, lines.join("\n")))
    }
}

impl One {
    fn new(version: &Version, relation: &Relation, at: usize, watched: Vec<Watched>) -> Option<Self> {
        let id = format!("table_{at}");
        let columns = rebuild::given(relation).map(|f| f.shape.name.clone());
        let values = rebuild::given(relation).map(|f| rebuild::typed(&get::get(version, relation, f), f));
        let logged = Logged {
            into: own(&["ready", "new", &id]),
            columns: format!(" ({})", list(&columns.collect::<Vec<_>>())),
            values: list(&values.collect::<Vec<_>>()),
            base: relation.base.clone(),
            row: "b",
            which: get::rows(version, relation, "b"),
            key: row_key(version.table(relation))?,
            keys: keys(version, relation)?,
            watched,
            id,
        };
        let lookups = watched::unindexed(version, relation).into_iter().enumerate();
        let lookups = lookups.map(|(at, (table, columns))| {
            (Ident::generated(&[READY, &logged.id, "lookup", &at.to_string()]), table, columns)
        });
        let facts = version.facts().into_iter().filter_map(|fact| {
            let again = if is_kept(relation, &fact) {
                None
            } else {
                is_watched(version, relation, &logged, &fact)?;
                Some(stop_where(&logged.offenders(version, &fact)?, &fact.sentence()))
            };
            Some((fact, again))
        });
        Some(Self { name: relation.name.clone(), lookups: lookups.collect(), facts: facts.collect(), logged })
    }

    /// Builds the table, with all that takes long.
    fn build(&self, version: &Version, relation: &Relation) -> Vec<PlanStep> {
        let into = &self.logged.into;
        let mut steps = self.logged.watch();
        steps.extend(self.lookups.iter().map(|(name, table, columns)| {
            let sql = format!("CREATE INDEX CONCURRENTLY {name} ON {table} ({})", list(columns));
            PlanStep::new(format!("index `{}` for the lookups, for now", table.short()), sql).alone()
        }));
        let built = rebuild::build(version, relation, into);
        let bare = rights::bare(&version.schema, into).map(|revoke| format!("\n{revoke};")).unwrap_or_default();
        let sql = format!("{}\n{}\n{}{bare}", rebuild::MEMORY, built.sql, log::at_rest(into));
        steps.push(PlanStep { sql, ..built });
        // By which rows are found from now on.
        steps.extend(dress::ready(version, relation, into));
        steps.extend(dress::rules(version, relation, into).map(|rules| {
            // Rows may break a rule for a moment, and another time they do not.
            let sql = format!("{}\n{}", self.logged.again(), rules.sql);
            PlanStep::new(rules.sentence, sql).at_one_moment()
        }));
        steps
    }

    /// Compares, at one moment, the table with what the view shows, and asks all facts.
    fn compare(&self, version: &Version, relation: &Relation) -> PlanStep {
        let name = self.name.short();
        let facts =
            self.facts.iter().map(|(fact, _)| stop_where(&fact::offenders_still(version, fact), &fact.sentence()));
        let differs = format!(
            "SELECT FROM ({}) AS v (n, s) JOIN ({}) AS t (n, s) ON (v.n, v.s) <> (t.n, t.s)",
            rows::of_view(version, relation),
            rows::of_table(version, relation, &self.logged.into),
        );
        let lines = std::iter::once(self.logged.again()).chain(facts);
        let lines = lines.chain([stop_where(&differs, &format!("the new `{name}` holds what its view shows"))]);
        PlanStep::new(format!("compare the new `{name}` with its view"), lines.collect::<Vec<_>>().join("\n"))
            .at_one_moment()
    }

    /// Copies again what others wrote, where it keeps all facts.
    fn again(&self) -> String {
        let agree = self.facts.iter().filter_map(|(_, again)| again.clone());
        std::iter::once(self.logged.again()).chain(agree).collect::<Vec<_>>().join("\n")
    }
}

/// Whether the new table itself keeps what a fact says, by a rule that it has.
fn is_kept(relation: &Relation, fact: &Fact) -> bool {
    let Claim::Keeps { rule, words } = &fact.claim else { return false };
    let is_it = |c: &Attached<Constraint>| c.brought_by() == Some(&fact.step) && c.item.name == rule.name;
    words.table == relation.name
        && !matches!(rule.kind, ConstraintKind::Foreign(_))
        && (relation.constraints.iter().any(is_it)
            || relation.indexes.iter().any(|i| i.brought_by() == Some(&fact.step) && i.item.name == rule.name))
}

/// Whether whatever changes what a fact says of a row is watched for the sake of it.
fn is_watched(version: &Version, relation: &Relation, logged: &Logged, fact: &Fact) -> Option<()> {
    let is_its = relation.fields.iter().any(|f| version.put_there_by(relation, f) == fact.step);
    let tables = fact.claim.tables();
    let known = tables.iter().all(|table| logged.watched.iter().any(|w| w.table == **table));
    (is_its && !tables.is_empty() && known).then_some(())
}
