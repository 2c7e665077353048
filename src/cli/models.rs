//! `models`: the keys, relations and NOT NULL of the new shape, which a view cannot show, as text for the models of an ORM.

mod django;
mod rails;
mod sqlalchemy;
mod words;

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::cli::Context;
use crate::generate::shown_in;
use crate::name::{Ident, TableName};
use crate::problem::Problem;
use crate::relation::{Attached, Field, Relation};
use crate::schema::{Constraint, ConstraintKind, ForeignKey};
use crate::version::Version;
use words::{Names, class, one, plain};

/// For whom.
#[derive(Debug, Args)]
pub struct Models {
    /// Whose models
    #[arg(long = "for", value_enum, value_name = "ORM")]
    orm: Orm,
    /// The tables that nothing touches, too
    #[arg(long)]
    all: bool,
}

/// Who wants to be told.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Orm {
    /// Unmanaged models
    Django,
    /// Classes of `ActiveRecord`
    Rails,
    /// Reflected tables, as for automap
    Sqlalchemy,
}

/// A table of the new shape as a model.
#[derive(Debug)]
struct Model<'v> {
    /// How a client with `next` in its path names it: with a schema where the path alone does not find it.
    schema: Option<Ident>,
    table: &'v Ident,
    /// The name of its class: a proposal.
    class: String,
    /// With the name that stands for each in a program.
    fields: Vec<(&'v Field, String)>,
    key: Vec<Ident>,
    /// Other fields that are unique.
    unique: Vec<Vec<Ident>>,
    relations: Vec<Refers>,
    /// Those that lead here, and the class that they come from.
    referred: Vec<(Refers, String)>,
    is_wanted: bool,
}

/// A foreign key.
#[derive(Debug, Clone)]
struct Refers {
    /// What the row that it leads to is called.
    name: String,
    /// What the rows are called that it comes from.
    back: String,
    fields: Vec<Ident>,
    /// Whether at most one row refers to another.
    is_single: bool,
    /// Whether it may be NULL.
    is_optional: bool,
    /// The place of the model that it leads to.
    to: usize,
    referred: Vec<Ident>,
}

/// Prints them.
pub fn run(context: &Context, args: &Models) -> Result<(), Problem> {
    let mut session = context.session()?;
    let version = session.place()?.version()?;
    let models = models(&version, args.all);
    if !models.iter().any(|model| model.is_wanted) {
        context
            .ui
            .say("nothing is deferred that a view shows: the models find all in the tables (`--all` prints them)");
    }
    let text = match args.orm {
        Orm::Django => django::text(&models),
        Orm::Rails => rails::text(&models),
        Orm::Sqlalchemy => sqlalchemy::text(&models),
    };
    context.ui.json(&json!({ "models": text }));
    if !text.is_empty() {
        context.ui.out(text.trim_end());
    }
    Ok(())
}

/// All tables, since names must not depend on which are wanted.
fn models(version: &Version, all: bool) -> Vec<Model<'_>> {
    let next = shown_in(version);
    let mut classes = Names::default();
    let relations: Vec<&Relation> = version.relations.values().collect();
    let mut models: Vec<Model> = Vec::new();
    for relation in &relations {
        let name = &relation.name;
        let shown = if relation.is_shown { next.get(&name.schema) } else { None };
        let schema = shown.unwrap_or(&name.schema);
        let mut names = Names::default();
        models.push(Model {
            // `next` and `public` are in the path; of others the client says the schema that is there now.
            schema: (!["next", "public"].contains(&schema.as_str())).then(|| schema.clone()),
            table: &name.name,
            class: classes.take(&class(&one(&plain(name.name.as_str())))),
            fields: relation.fields.iter().map(|f| (f, names.take(&plain(f.shape.name.as_str())))).collect(),
            key: key(relation),
            unique: unique(relation),
            relations: Vec::new(),
            referred: Vec::new(),
            is_wanted: all || relation.is_shown,
        });
    }
    let places: BTreeMap<&TableName, usize> = relations.iter().enumerate().map(|(at, r)| (&r.name, at)).collect();
    let mut backs: Vec<Names> = models.iter().map(taken).collect();
    for (at, relation) in relations.iter().enumerate() {
        let mut names = taken(&models[at]);
        for (rule, foreign) in relation.foreign_keys() {
            let Some((there, referred)) = led_to(version, foreign) else { continue };
            let Some(&to) = places.get(&there.name) else { continue };
            let refers = refers(relation, rule, (there, to, referred), (&mut names, &mut backs[to]));
            models[at].relations.push(refers.clone());
            let from = models[at].class.clone();
            models[to].referred.push((refers, from));
        }
    }
    models
}

/// The names that a model has for its fields.
fn taken(model: &Model) -> Names {
    let mut names = Names::default();
    for (_, name) in &model.fields {
        names.take(name);
    }
    names
}

/// The table of the new shape that a foreign key leads to, and its fields there.
fn led_to<'v>(version: &'v Version, key: &ForeignKey) -> Option<(&'v Relation, Vec<Ident>)> {
    let there = version.over(&key.table)?;
    let shown = |column| there.showing(&version.schema, column).map(|field| field.shape.name.clone());
    Some((there, key.fields.iter().map(shown).collect::<Option<_>>()?))
}

fn refers(
    relation: &Relation,
    rule: &Attached<Constraint>,
    (there, to, referred): (&Relation, usize, Vec<Ident>),
    (names, backs): (&mut Names, &mut Names),
) -> Refers {
    let fields = rule.item.fields.clone();
    let other = one(&plain(there.name.name.as_str()));
    // `billing_customer_id` leads to the `billing_customer`; of several fields the table says more.
    let told = match &fields[..] {
        [field] => plain(field.as_str()).strip_suffix("_id").map(str::to_owned),
        _ => None,
    };
    let name = names.take(&told.unwrap_or(other.clone()));
    let rows = plain(relation.name.name.as_str());
    let back = if name == other { rows } else { format!("{rows}_by_{name}") };
    let is_optional = fields.iter().any(|f| relation.field(f).is_none_or(|f| !f.shape.not_null));
    let is_single = key(relation) == fields || unique(relation).contains(&fields);
    Refers { name, back: backs.take(&back), is_single, is_optional, to, referred, fields }
}

/// What tells rows apart: the primary key, else the smallest unique one.
fn key(relation: &Relation) -> Vec<Ident> {
    let primary = relation.constraints.iter().find(|c| c.item.kind == ConstraintKind::Primary);
    primary.map(|c| c.item.fields.clone()).or_else(|| relation.row_key()).unwrap_or_default()
}

fn unique(relation: &Relation) -> Vec<Vec<Ident>> {
    let said = relation.constraints.iter().filter(|c| c.item.kind == ConstraintKind::Unique);
    let by_index = relation.indexes.iter().filter_map(|i| i.item.key());
    let mut all: Vec<Vec<Ident>> =
        said.map(|c| c.item.fields.clone()).filter(|f| !f.is_empty()).chain(by_index).collect();
    all.sort();
    all.dedup();
    let key = key(relation);
    all.retain(|fields| *fields != key);
    all
}

impl Model<'_> {
    /// The name of a field in a program.
    fn called(&self, field: &Ident) -> &str {
        self.fields.iter().find(|(f, _)| f.shape.name == *field).map_or("", |(_, name)| name)
    }

    /// Whether an insert may leave a field out.
    fn fills(field: &Field) -> bool {
        let shape = &field.shape;
        shape.default.is_some() || shape.identity.is_some() || shape.generated.is_some()
    }
}
