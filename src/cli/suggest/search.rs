//! The search: stacks of refactorings whose shape is the wanted one, each step folded as it would be when declared.

use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use crate::catalogue::Refactoring;
use crate::cli::convert::Words;
use crate::cli::suggest::difference::{Difference, Kind, Texts, Wanted, differences, distance};
use crate::cli::suggest::parser::Parser;
use crate::cli::suggest::patterns::{Now, proposals};
use crate::cli::suggest::simple::{mending, otherwise};
use crate::name::{Ident, TableName};
use crate::relation::Home;
use crate::schema::Schema;
use crate::version::{Step, Version};

/// How many shapes are looked at.
const LOOKED_AT: usize = 60;

/// A choice that a stack takes where another one would do, too.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// What it takes for granted.
    pub sentence: String,
    /// What it is about, in the tables as they are: the same things may be taken for something else.
    pub about: BTreeSet<(TableName, Ident)>,
    /// How the data can decide.
    pub test: Test,
    /// How likely it is by names, types and places, from 0 to 100.
    pub likely: usize,
}

/// What is asked of the data.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Whether values of a field are those of a field of the wanted shape.
    Alike {
        /// The field as it is.
        from: (TableName, Ident),
        /// The field that it would be.
        to: (TableName, Ident),
    },
    /// Whether each value of the key has one value of the field.
    Depends {
        /// The table.
        table: TableName,
        /// What tells.
        key: Vec<Ident>,
        /// What is told.
        field: Ident,
    },
    /// The pattern as a whole: so many differences at once.
    Pattern(usize),
    /// Nothing.
    None,
}

/// What the data say of a choice.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is so.
    Yes(String),
    /// It is not so.
    No(String),
    /// They do not tell.
    Unknown(String),
}

/// What can be asked while searching.
pub trait Oracle {
    /// Whether a choice is right.
    fn judge(&mut self, choice: &Choice) -> Verdict;
    /// The different values of a field, if they are few.
    fn values(&mut self, table: &TableName, field: &Ident) -> Option<Vec<String>>;
    /// The keys of the objects in a field.
    fn keys(&mut self, table: &TableName, field: &Ident) -> BTreeSet<String>;
}

/// A shape on the way.
#[derive(Clone)]
pub struct Node {
    /// What leads there.
    pub commands: Vec<(Words, Refactoring)>,
    /// What that takes for granted, and what the data say of it.
    pub choices: Vec<(Choice, Verdict)>,
    version: Version,
    /// As tables.
    pub schema: Schema,
    /// What is left to do.
    pub left: Vec<Difference>,
    distance: usize,
}

impl Node {
    /// Nothing is done yet.
    pub fn of(base: Arc<Schema>, wanted: &Wanted) -> Self {
        let schema = Schema::clone(&base);
        let left = differences(&schema, wanted, Texts::Printed);
        let far = distance(&left, &schema, wanted);
        Self { commands: Vec::new(), choices: Vec::new(), version: Version::base(base), schema, left, distance: far }
    }

    /// The shape after more commands, if they make sense.
    fn after(&self, commands: &[Words], wanted: &Wanted, parser: &mut Parser) -> Option<Self> {
        let mut next = self.clone();
        for words in commands {
            let refactoring = parser.read(words)?;
            let name = crate::journal::next_name(&next.version.steps, &refactoring);
            next.version = next.version.after(&Step { name, refactoring: refactoring.clone() }).ok()?;
            next.commands.push((words.clone(), refactoring));
        }
        next.schema = next.version.as_schema();
        next.left = differences(&next.schema, wanted, Texts::Folded);
        next.distance = distance(&next.left, &next.schema, wanted);
        Some(next)
    }

    /// Where a field is in the tables as they are.
    pub fn origin(&self, table: &TableName, field: &Ident) -> Option<(TableName, Ident)> {
        let relation = self.version.relations.get(table)?;
        match relation.field(field)?.home {
            Home::Own(_) => {
                Some((relation.base.clone(), relation.column(&self.version.schema, relation.field(field)?)?.clone()))
            }
            _ => None,
        }
    }

    fn key(&self) -> Vec<Words> {
        let mut all: Vec<Words> = self.commands.iter().map(|(words, _)| words.clone()).collect();
        all.sort();
        all
    }

    /// How likely all of its choices are together.
    fn likely(&self) -> usize {
        self.choices
            .iter()
            .map(|(choice, verdict)| match verdict {
                Verdict::Yes(_) => 150,
                _ => choice.likely,
            })
            .sum()
    }

    /// Does without questions what is left, as far as that goes.
    pub fn finished(mut self, base: &Schema, wanted: &Wanted, parser: &mut Parser) -> Self {
        loop {
            let mut open: Vec<Difference> = self.left.iter().filter(|d| !is_beside(d, base, wanted)).cloned().collect();
            open.sort_by_key(|d| order(d, wanted));
            let better = open.iter().find_map(|d| {
                let commands = mending(d, &self.schema, wanted)?;
                let mut go = |commands: &[Words]| {
                    self.after(commands, wanted, parser).filter(|next| next.distance < self.distance)
                };
                go(&commands).or_else(|| go(&otherwise(d, &self.schema)?))
            });
            match better {
                Some(next) => self = next,
                None => return self,
            }
        }
    }
}

/// What makes no difference: the order of fields where fields came or went.
pub fn is_beside(difference: &Difference, base: &Schema, wanted: &Wanted) -> bool {
    let Kind::Order(_) = difference.kind else { return false };
    let names = |schema: &Schema| {
        let table = schema.tables.get(&difference.table)?;
        Some(table.fields.iter().map(|f| f.name.clone()).collect::<BTreeSet<_>>())
    };
    names(base) != names(&wanted.schema)
}

/// What is done first: what stands in the way goes, tables come, those that others refer to before these.
fn order(difference: &Difference, wanted: &Wanted) -> (u8, usize) {
    let place = match difference.kind {
        Kind::Renamed(..) => 7,
        Kind::TableMissing => 1,
        Kind::FieldMissing => 2,
        Kind::Type => 3,
        Kind::RuleExtra(_) | Kind::IndexExtra(_) => 5,
        Kind::FieldExtra => 4,
        Kind::TableExtra => 6,
        Kind::NotNull | Kind::Default | Kind::Numbering | Kind::Generated => 8,
        Kind::RuleChanged(..) | Kind::RuleMissing(_) => 9,
        Kind::IndexMissing(_) => 10,
        Kind::Comment(..) | Kind::Order(_) => 11,
    };
    let refers = wanted.schema.tables.get(&difference.table).map_or(0, |t| {
        let foreign = |c: &&crate::schema::Constraint| matches!(c.kind, crate::schema::ConstraintKind::Foreign(_));
        t.constraints.iter().filter(foreign).count()
    });
    (place, if place == 1 { refers } else { 0 })
}

struct Open(usize, usize, Node);

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Open {}
impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Open {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, other.1).cmp(&(other.0, self.1))
    }
}

/// A choice that was looked at and given up.
pub type RuledOut = (String, String);

/// The stacks that reach the wanted shape or come nearest, the likeliest first; and what the data do not allow.
pub fn search(
    base: &Arc<Schema>,
    wanted: &Wanted,
    oracle: &mut dyn Oracle,
    parser: &mut Parser,
) -> (Vec<Node>, Vec<RuledOut>) {
    let mut heap = BinaryHeap::from([Open(0, 0, Node::of(base.clone(), wanted))]);
    let (mut seen, mut ends, mut ruled_out) = (BTreeSet::new(), Vec::<Node>::new(), Vec::<RuledOut>::new());
    let mut looked = 0;
    while let Some(Open(_, _, node)) = heap.pop() {
        if looked == LOOKED_AT {
            break;
        }
        looked += 1;
        for proposal in proposals(&Now { node: &node, wanted }, oracle) {
            let Some(mut next) = node.after(&proposal.commands, wanted, parser) else { continue };
            if next.distance >= node.distance || !seen.insert(next.key()) {
                continue;
            }
            let mut choice = proposal.choice;
            if let Test::Pattern(gain) = &mut choice.test {
                *gain = node.distance - next.distance;
            }
            let verdict = oracle.judge(&choice);
            if let Verdict::No(why) = &verdict {
                let said = (choice.sentence.clone(), why.clone());
                if !ruled_out.contains(&said) {
                    ruled_out.push(said);
                }
                continue;
            }
            next.choices.push((choice, verdict));
            let score = next.likely() + 4 * (1000_usize.saturating_sub(next.distance));
            heap.push(Open(score, looked, next));
        }
        ends.push(node.finished(base, wanted, parser));
    }
    decided(&mut ends, &mut ruled_out);
    ends.sort_by_key(|end| {
        let left: Vec<Difference> = end.left.iter().filter(|d| !is_beside(d, base, wanted)).cloned().collect();
        (distance(&left, &end.schema, wanted), end.commands.len(), usize::MAX - end.likely())
    });
    let mut known = BTreeSet::new();
    ends.retain(|end| known.insert(end.key()));
    (ends, ruled_out)
}

/// Gives up what takes something else for granted where the data say how it is.
fn decided(ends: &mut Vec<Node>, ruled_out: &mut Vec<RuledOut>) {
    let mut sure: Vec<(Choice, String)> = Vec::new();
    for (choice, verdict) in ends.iter().flat_map(|end| &end.choices) {
        if let Verdict::Yes(why) = verdict
            && !sure.iter().any(|(known, _)| known == choice)
        {
            sure.push((choice.clone(), why.clone()));
        }
    }
    ends.retain(|end| {
        let takes = |choice: &Choice| {
            end.choices
                .iter()
                .any(|(c, v)| c == choice || matches!(v, Verdict::Yes(_)) && !c.about.is_disjoint(&choice.about))
        };
        sure.iter().all(|(choice, _)| takes(choice))
    });
    for (choice, why) in sure {
        let said = ("to drop and to add instead".to_owned(), format!("{} ({why})", choice.sentence));
        if !ruled_out.contains(&said) && ends.iter().any(|e| e.choices.iter().any(|(c, _)| *c == choice)) {
            ruled_out.push(said);
        }
    }
}
