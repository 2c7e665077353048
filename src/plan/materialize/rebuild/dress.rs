//! Gives a rebuilt table everything that the old one had, under the names of the new shape.

use std::collections::BTreeSet;

use super::{MEMORY, beside, followers, foreign_keys_from_others, identity, numbered, remember, renames, storage};
use crate::generate::list;
use crate::generate::rights::without_grants;
use crate::name::{Ident, OWN, TableName};
use crate::plan::PlanStep;
use crate::plan::materialize::attach::{self, constraint_lines, index_lines, role};
use crate::plan::materialize::fill::enable;
use crate::plan::materialize::ready::READY;
use crate::relation::{Attached, Home, Origin, Relation, Rows};
use crate::schema::{Constraint, ConstraintKind, Field, ForeignKey, Grant, Index, Publication, ReplicaIdentity, Table};
use crate::sql::{Literal, rename_in_definition, rename_in_trigger, retarget};
use crate::version::Version;

/// Asks the rows of a table that has not its name yet for its rules.
#[must_use]
pub fn rules(version: &Version, relation: &Relation, draft: &TableName) -> Option<PlanStep> {
    let nulls = not_null(version, relation);
    let nulls = nulls.map(|(name, field)| format!("ADD CONSTRAINT {name} CHECK ({field} IS NOT NULL)"));
    let checks = checks(relation).filter(|c| is_asked(c));
    let checks = checks.map(|c| format!("ADD CONSTRAINT {} {}", c.item.name, attach::definition(c)));
    let rules: Vec<String> = nulls.chain(checks).collect();
    let sql = format!("ALTER TABLE {draft}\n  {};", rules.join(",\n  "));
    let sentence = format!("ask the rows of the new `{}` for its rules", relation.name.short());
    (!rules.is_empty()).then(|| PlanStep::new(sentence, sql))
}

/// Builds its indexes.
#[must_use]
pub fn ready(version: &Version, relation: &Relation, draft: &TableName) -> Vec<PlanStep> {
    let name = relation.name.short();
    let mut steps = Vec::new();
    for index in indexes(relation) {
        let made = if index.item.unique { "CREATE UNIQUE INDEX" } else { "CREATE INDEX" };
        let line = index_lines(version, draft, index).remove(0);
        let unnamed = line.strip_prefix(&format!("{made} {}", index.item.name)).unwrap_or_default();
        let sql = format!("{MEMORY}\n{made} {}{unnamed}", ready_name(relation, &index.item.name));
        steps.push(PlanStep::new(format!("build index `{}` of the new `{name}`", index.item.name), sql));
    }
    for key in new_keys(relation) {
        let (index, fields) = (ready_name(relation, &key.name), list(&key.fields));
        let sql = format!("{MEMORY}\nCREATE UNIQUE INDEX {index} ON {draft} ({fields});");
        steps.push(PlanStep::new(format!("build the index of `{}` of the new `{name}`", key.name), sql));
    }
    for constraint in relation.constraints.iter().filter(|c| c.item.kind == ConstraintKind::Exclude) {
        let (item, definition) = (&constraint.item, attach::definition(constraint));
        let ready = ready_name(relation, &item.name);
        let sql = format!("{MEMORY}\nALTER TABLE {draft} ADD CONSTRAINT {ready} {definition};");
        steps.push(PlanStep::new(format!("build `{}` of the new `{name}`", item.name), sql));
    }
    steps.push(PlanStep::new(format!("count the values of the new `{name}`"), format!("ANALYZE {draft};")));
    steps
}

/// Unique keys that no index of the old table serves.
fn new_keys(relation: &Relation) -> impl Iterator<Item = &Constraint> {
    let served = |c: &Constraint| relation.indexes.iter().any(|i| i.item.constraint.as_ref() == Some(&c.name));
    let is_key = |c: &Constraint| matches!(c.kind, ConstraintKind::Primary | ConstraintKind::Unique);
    let keys = relation.constraints.iter().filter(move |c| is_key(&c.item) && !served(&c.item));
    keys.filter(|c| attach::besides_fields(&c.item, &attach::definition(c)).is_some()).map(|c| &c.item)
}

/// The name of an index until the table has its own.
fn ready_name(relation: &Relation, index: &Ident) -> Ident {
    let TableName { schema, name } = &relation.name;
    Ident::generated(&[READY, schema.as_str(), name.as_str(), index.as_str()])
}

/// Fields that are NOT NULL by themselves, each with the name of the check that stands for it until the table has its name, which
/// is in those that PostgreSQL gives.
fn not_null<'r>(version: &'r Version, relation: &'r Relation) -> impl Iterator<Item = (Ident, &'r Ident)> {
    let fields = relation.fields.iter().map(|f| &f.shape).filter(|f| is_not_null(version, f));
    fields.enumerate().map(|(at, f)| (Ident::generated(&[READY, "not_null", &at.to_string()]), &f.name))
}

/// Whether a field is NOT NULL by itself, not by its domain.
fn is_not_null(version: &Version, field: &Field) -> bool {
    field.not_null && !version.schema.domain(&field.type_name).is_some_and(|d| d.not_null)
}

fn checks(relation: &Relation) -> impl Iterator<Item = &Attached<Constraint>> {
    relation.constraints.iter().filter(|c| c.item.kind == ConstraintKind::Check)
}

/// Whether the rows that are there are asked for a rule.
fn is_asked(constraint: &Attached<Constraint>) -> bool {
    !attach::definition(constraint).ends_with(" NOT VALID")
}

/// Everything but foreign keys. The table has its name already. `is_ready`: what takes long of it is done.
#[must_use]
pub fn dress(version: &Version, relation: &Relation, is_ready: bool) -> Vec<PlanStep> {
    let name = &relation.name;
    let table = version.table(relation);
    let step = |what: &str, lines: Vec<String>| {
        let sentence = format!("{what} of `{}`", name.short());
        (!lines.is_empty()).then(|| PlanStep::new(sentence, lines.join("\n")))
    };
    let lines = indexes(relation).map(|index| (index, index_lines(version, name, index)));
    let built = if is_ready {
        let named = lines.flat_map(|(index, lines)| {
            let ready = name.renamed(ready_name(relation, &index.item.name));
            let rename = format!("ALTER INDEX {ready} RENAME TO {};", index.item.name);
            std::iter::once(rename).chain(lines.into_iter().skip(1))
        });
        step("name the indexes", named.collect())
    } else {
        let built = step("build the indexes", lines.flat_map(|(_, lines)| lines).collect());
        built.map(|step| step.writing(table.rows, table.bytes / 2))
    };
    [
        step("set fields, checks and numbering", fields(version, relation, is_ready)),
        built,
        step("set the constraints", constraints(version, relation, is_ready)),
        step("set comments, storage and statistics", decorations(version, relation)),
        step("set triggers, rules and policies", code(version, relation)),
        step("set the privileges", rights(table, relation)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A default that may draw from the sequence of a table which has gone to another schema by now, and has taken it along.
fn drawn_elsewhere(version: &Version, default: &str) -> String {
    let moved = version.relations.values().filter(|r| r.is_heir() && r.name.schema != r.base.schema);
    let sequences =
        moved.flat_map(|r| version.table(r).fields.iter().filter_map(move |f| Some((r, f.sequence.as_ref()?))));
    sequences.fold(default.to_owned(), |default, (relation, sequence)| {
        default.replace(&format!("'{sequence}'"), &format!("'{}'", beside(sequence, &relation.name)))
    })
}

/// The owner; then defaults, NOT NULL and checks in one scan; then the sequences.
fn fields(version: &Version, relation: &Relation, is_ready: bool) -> Vec<String> {
    let name = &relation.name;
    let table = version.table(relation);
    let mut lines = Vec::new();
    if let Some(owner) = &table.owner {
        lines.push(format!("ALTER TABLE {name} OWNER TO {owner};"));
    }
    lines.extend(numbered::create(version, relation));
    let mut changes = Vec::new();
    for field in &relation.fields {
        let shape = &field.shape;
        let this = format!("ALTER COLUMN {}", shape.name);
        let own = version.stays(relation, field);
        let domain = version.schema.domain(&shape.type_name);
        if is_not_null(version, shape) {
            changes.push(match own.and_then(|column| table.not_null_names.get(column)) {
                Some(constraint) => format!("ADD CONSTRAINT {constraint} NOT NULL {}", shape.name),
                None => format!("{this} SET NOT NULL"),
            });
        }
        let said = domain.is_some_and(|d| d.default == shape.default);
        if let Some(default) = shape.default.as_ref().filter(|_| shape.generated.is_none() && !said) {
            let default = if relation.is_heir() { default.clone() } else { drawn_elsewhere(version, default) };
            changes.push(format!("{this} SET DEFAULT {default}"));
        }
        changes.extend(shape.statistics.map(|target| format!("{this} SET STATISTICS {target}")));
        changes.extend(storage(shape).into_iter().map(|change| format!("{this} {change}")));
        if !shape.options.is_empty() {
            changes.push(format!("{this} SET ({})", list(&shape.options)));
        }
    }
    for constraint in checks(relation).filter(|c| !is_ready || !is_asked(c)) {
        changes.push(format!("ADD CONSTRAINT {} {}", constraint.item.name, attach::definition(constraint)));
    }
    if !changes.is_empty() {
        lines.push(format!("ALTER TABLE {name}\n  {};", changes.join(",\n  ")));
    }
    let stood: Vec<String> =
        not_null(version, relation).filter(|_| is_ready).map(|(rule, _)| format!("DROP CONSTRAINT {rule}")).collect();
    if !stood.is_empty() {
        lines.push(format!("ALTER TABLE {name} {};", stood.join(", ")));
    }
    for field in relation.fields.iter().filter(|f| version.stays(relation, f).is_some()) {
        let shape = &field.shape;
        let Some(sequence) = &shape.sequence else { continue };
        // A table that was kept has it still; of one that is built anew the old one is gone by now.
        let is_kept = sequence.schema.as_str() == OWN && !relation.is_heir();
        if is_kept && shape.identity.is_some() {
            lines.push(remember(sequence));
        }
        if let Some(numbered) = identity(version, name, shape, "") {
            lines.push(numbered);
            lines.extend(sequence_lines(version, sequence, name));
            continue;
        }
        // It is owned by a table of its own schema only.
        if sequence.schema != name.schema {
            if is_kept {
                lines.push(format!("ALTER SEQUENCE {sequence} OWNED BY NONE;"));
            }
            lines.push(format!("ALTER SEQUENCE {sequence} SET SCHEMA {};", name.schema));
        }
        lines.push(format!("ALTER SEQUENCE {} OWNED BY {name}.{};", beside(sequence, name), shape.name));
        if matches!(field.home, Home::Shaped(..)) {
            lines.push(format!("ALTER SEQUENCE {} AS {};", beside(sequence, name), shape.type_name));
        }
    }
    lines.extend(numbered::give(version, relation));
    lines
}

fn sequence_lines(version: &Version, name: &TableName, table: &TableName) -> Vec<String> {
    let Some(sequence) = version.schema.sequences.get(name) else { return Vec::new() };
    let name = &beside(name, table);
    let mut lines = Vec::new();
    if let Some(comment) = &sequence.comment {
        lines.push(format!("COMMENT ON SEQUENCE {name} IS {};", Literal(comment.clone())));
    }
    lines.push(without_grants("SEQUENCE", name));
    if let Some(grants) = &sequence.grants {
        lines.extend(grants.iter().map(|g| format!("GRANT {} ON SEQUENCE {name} TO {};", g.privilege, role(g))));
    }
    lines
}

/// Those that no exclusion makes.
fn indexes(relation: &Relation) -> impl Iterator<Item = &Attached<Index>> {
    let excluded = |name: Option<&Ident>| {
        let of = |c: &&Attached<Constraint>| name == Some(&c.item.name);
        relation.constraints.iter().find(of).is_some_and(|c| c.item.kind == ConstraintKind::Exclude)
    };
    relation.indexes.iter().filter(move |i| !excluded(i.item.constraint.as_ref()))
}

/// Keys take over their indexes; exclusions make their own.
fn constraints(version: &Version, relation: &Relation, is_ready: bool) -> Vec<String> {
    let name = &relation.name;
    let mut lines = Vec::new();
    for constraint in &relation.constraints {
        let item = &constraint.item;
        let index = relation.indexes.iter().find(|i| i.item.constraint.as_ref() == Some(&item.name));
        let definition = match (&item.kind, index) {
            (ConstraintKind::Check, _) => {
                lines.extend(comment(name, item));
                continue;
            }
            (ConstraintKind::Foreign(_) | ConstraintKind::NotNull, _) => continue,
            (ConstraintKind::Primary | ConstraintKind::Unique, Some(index)) => attach::by_index(item, &index.item.name),
            (ConstraintKind::Primary | ConstraintKind::Unique, None)
                if is_ready && new_keys(relation).any(|key| key == item) =>
            {
                attach::by_index(item, ready_name(relation, &item.name))
            }
            _ => attach::definition(constraint),
        };
        let using = definition.contains(" USING INDEX ");
        let late = match (using, item.deferrable, item.deferred) {
            (true, true, true) => " DEFERRABLE INITIALLY DEFERRED",
            (true, true, false) => " DEFERRABLE",
            _ => "",
        };
        if is_ready && item.kind == ConstraintKind::Exclude {
            let ready = ready_name(relation, &item.name);
            lines.push(format!("ALTER TABLE {name} RENAME CONSTRAINT {ready} TO {};", item.name));
            lines.extend(comment(name, item));
        } else {
            lines.extend(constraint_lines(name, item, &format!("{definition}{late}")));
        }
        if let Some(index) = index.filter(|_| item.kind == ConstraintKind::Exclude) {
            lines.extend(index_lines(version, name, index).into_iter().skip(1));
        }
    }
    lines
}

fn comment(table: &TableName, constraint: &Constraint) -> Option<String> {
    let comment = constraint.comment.as_ref()?;
    Some(format!("COMMENT ON CONSTRAINT {} ON {table} IS {};", constraint.name, Literal(comment.clone())))
}

fn decorations(version: &Version, relation: &Relation) -> Vec<String> {
    let name = &relation.name;
    let table = version.table(relation);
    let names = renames(version, relation);
    let mut lines = Vec::new();
    if let Some(comment) = &relation.comment {
        lines.push(format!("COMMENT ON TABLE {name} IS {};", Literal(comment.clone())));
    }
    for field in &relation.fields {
        if let Some(comment) = &field.shape.comment {
            lines.push(format!("COMMENT ON COLUMN {name}.{} IS {};", field.shape.name, Literal(comment.clone())));
        }
    }
    let now = |index: &Ident| {
        let old = table.indexes.iter().position(|i| i.name == *index)?;
        let same = |i: &&Attached<Index>| i.origin == Origin::Table(relation.base.clone(), old);
        relation.indexes.iter().find(same).map(|i| &i.item.name)
    };
    if let Some(index) = relation.indexes.iter().find(|i| i.item.clustered && i.is_of(&relation.base)) {
        lines.push(format!("ALTER TABLE {name} CLUSTER ON {};", index.item.name));
    }
    match &table.replica_identity {
        ReplicaIdentity::Default => {}
        ReplicaIdentity::Full => lines.push(format!("ALTER TABLE {name} REPLICA IDENTITY FULL;")),
        ReplicaIdentity::Nothing => lines.push(format!("ALTER TABLE {name} REPLICA IDENTITY NOTHING;")),
        ReplicaIdentity::Index(index) => lines.push(match now(index) {
            Some(index) => format!("ALTER TABLE {name} REPLICA IDENTITY USING INDEX {index};"),
            None => format!("ALTER TABLE {name} REPLICA IDENTITY NOTHING;"),
        }),
    }
    // A dropped field takes statistics over it along.
    let shown = |column: &Ident| relation.fields.iter().any(|f| version.stays(relation, f) == Some(column));
    for statistics in table.statistics.iter().filter(|s| s.fields.iter().all(shown)) {
        let own = if relation.is_heir() { statistics.name.clone() } else { statistics_of(name, &statistics.name) };
        let text = rename_in_definition(&statistics.definition, &names);
        let text = text.replacen(&statistics.name.to_string(), &own.to_string(), 1);
        let text = text.strip_suffix(&relation.base.to_string()).unwrap_or(&text);
        lines.push(format!("{text}{name};"));
        lines.extend(table.owner.iter().map(|owner| format!("ALTER STATISTICS {own} OWNER TO {owner};")));
        lines.extend(statistics.target.map(|target| format!("ALTER STATISTICS {own} SET STATISTICS {target};")));
        if let Some(comment) = &statistics.comment {
            lines.push(format!("COMMENT ON STATISTICS {own} IS {};", Literal(comment.clone())));
        }
    }
    lines
}

/// Statistics have names of their own, too.
fn statistics_of(table: &TableName, old: &TableName) -> TableName {
    old.renamed(Ident::generated(&[table.name.as_str(), old.name.as_str()]))
}

fn code(version: &Version, relation: &Relation) -> Vec<String> {
    let (name, base) = (&relation.name, &relation.base);
    let table = version.table(relation);
    let names = renames(version, relation);
    let mut lines = Vec::new();
    let enabled = |kind: &str, item: &Ident, letter: char| {
        let how = enable(letter).filter(|_| letter != 'O')?;
        Some(format!("ALTER TABLE {name} {how} {kind} {item};"))
    };
    let told = |kind: &str, item: &Ident, comment: Option<&String>| {
        comment.map(|c| format!("COMMENT ON {kind} {item} ON {name} IS {};", Literal(c.clone())))
    };
    // Triggers and rules are about whole rows.
    let whole = !matches!(relation.rows, Rows::Slice(_));
    for trigger in table.triggers.iter().filter(|_| whole) {
        let definition = rename_in_trigger(&trigger.definition, &names);
        lines.push(format!("{};", retarget(&definition, base, name)));
        lines.extend(enabled("TRIGGER", &trigger.name, trigger.enabled));
        lines.extend(told("TRIGGER", &trigger.name, trigger.comment.as_ref()));
    }
    for rule in table.rules.iter().filter(|_| whole) {
        lines.push(format!("{};", rule.definition.trim_end_matches(';')));
        lines.extend(enabled("RULE", &rule.name, rule.enabled));
        lines.extend(told("RULE", &rule.name, rule.comment.as_ref()));
    }
    for policy in &table.policies {
        let head = format!("CREATE POLICY {} ON {base}", policy.name);
        let rest = policy.definition.strip_prefix(&head).unwrap_or_default();
        let rest = rename_in_definition(rest, &names);
        lines.push(format!("CREATE POLICY {} ON {name}{rest};", policy.name));
        lines.extend(told("POLICY", &policy.name, policy.comment.as_ref()));
    }
    if table.row_security {
        lines.push(format!("ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;"));
    }
    if table.force_row_security {
        lines.push(format!("ALTER TABLE {name} FORCE ROW LEVEL SECURITY;"));
    }
    let about_rows = |p: &&Publication| whole || p.fields.is_none() && p.filter.is_none();
    for publication in table.publications.iter().filter(about_rows) {
        let renamed = |f: &Ident| names.get(f).unwrap_or(f).clone();
        let fields =
            publication.fields.as_ref().map(|f| format!(" ({})", list(&f.iter().map(renamed).collect::<Vec<_>>())));
        let filter = publication.filter.as_ref().map(|f| format!(" WHERE ({})", rename_in_definition(f, &names)));
        lines.push(format!(
            "ALTER PUBLICATION {} ADD TABLE ONLY {name}{}{};",
            publication.name,
            fields.unwrap_or_default(),
            filter.unwrap_or_default()
        ));
    }
    lines
}

fn rights(table: &Table, relation: &Relation) -> Vec<String> {
    let name = &relation.name;
    let mut lines = vec![without_grants("TABLE", name)];
    if let (Some(grants), Some(owner)) = (&table.grants, &table.owner) {
        lines.push(format!("REVOKE ALL ON {name} FROM {owner};"));
        lines.extend(merged(grants).into_iter().map(|(role, what)| format!("GRANT {what} ON {name} TO {role};")));
    }
    lines.extend(numbering(table, relation));
    for field in &relation.fields {
        for grant in &field.shape.grants {
            lines.push(format!("GRANT {}({}) ON {name} TO {};", grant.privilege, field.shape.name, role(grant)));
        }
    }
    lines
}

/// An identity numbers rows for whoever may insert them; a new table that takes its numbers does not.
fn numbering(table: &Table, relation: &Relation) -> Vec<String> {
    if relation.is_heir() {
        return Vec::new();
    }
    let own =
        relation.fields.iter().filter_map(|f| if let Home::Own(at) = f.home { table.fields.get(at) } else { None });
    let sequences = own.filter(|f| f.identity.is_some()).filter_map(|f| f.sequence.as_ref());
    let writers: Vec<&Grant> = table.grants.iter().flatten().filter(|g| g.privilege == "INSERT").collect();
    let grant = |sequence: &TableName, g: &Grant| format!("GRANT USAGE ON SEQUENCE {sequence} TO {};", role(g));
    sequences.flat_map(|s| writers.iter().map(move |g| grant(s, g))).collect()
}

/// One GRANT a role.
fn merged(grants: &[Grant]) -> Vec<(String, String)> {
    let mut roles: Vec<(String, Vec<&str>)> = Vec::new();
    for grant in grants {
        let to = role(grant);
        match roles.iter_mut().find(|(role, _)| *role == to) {
            Some((_, privileges)) => privileges.push(&grant.privilege),
            None => roles.push((to, vec![&grant.privilege])),
        }
    }
    roles.into_iter().map(|(role, privileges)| (role, privileges.join(", "))).collect()
}

/// Foreign keys that are set without being asked, and what asks them once nobody waits for it.
#[derive(Default)]
pub struct Later {
    /// The tables that were built beforehand.
    pub built: Vec<TableName>,
    /// What asks.
    pub steps: Vec<PlanStep>,
}

impl Later {
    /// The foreign key of a table, to one that has that name now.
    fn lines(&mut self, table: &TableName, constraint: &Constraint, text: &str, far: &TableName) -> Vec<String> {
        let is_asked = !text.ends_with(" NOT VALID");
        if !is_asked || !self.built.iter().any(|built| built == table || built == far) {
            return constraint_lines(table, constraint, text);
        }
        self.unasked(table, constraint, text)
    }

    /// One that is set without being asked.
    pub fn unasked(&mut self, table: &TableName, constraint: &Constraint, text: &str) -> Vec<String> {
        let sentence = format!("ask the rows of `{}` for `{}` while others write", table.short(), constraint.name);
        let sql = format!("ALTER TABLE {table} VALIDATE CONSTRAINT {}", constraint.name);
        self.steps.push(PlanStep::new(sentence, sql).alone());
        constraint_lines(table, constraint, &format!("{text} NOT VALID"))
    }
}

fn far<'v>(version: &'v Version, key: &'v ForeignKey) -> &'v TableName {
    version.over(&key.table).map_or(&key.table, |r| &r.name)
}

/// The rebuilt table's own foreign keys.
#[must_use]
pub fn foreign_keys(version: &Version, relation: &Relation, later: &mut Later) -> Vec<PlanStep> {
    let mut lines = Vec::new();
    for (constraint, key) in relation.foreign_keys() {
        let text = attach::foreign_key(version, &constraint.item, key);
        lines.extend(later.lines(&relation.name, &constraint.item, &text, far(version, key)));
    }
    if lines.is_empty() {
        return Vec::new();
    }
    vec![PlanStep::new(format!("set the foreign keys of `{}`", relation.name.short()), lines.join("\n"))]
}

/// Foreign keys that led to the old tables from tables that keep their identity, and from complements that stay.
#[must_use]
pub fn foreign_keys_here(
    version: &Version,
    rebuilt: &[&Relation],
    keep: &BTreeSet<TableName>,
    later: &mut Later,
) -> Vec<PlanStep> {
    let mut lines = Vec::new();
    for (table, name, key) in foreign_keys_from_others(version, rebuilt) {
        let Some(relation) = version.over(table) else { continue };
        // By the name that it has now.
        let is = |at: usize| version.schema.tables[table].constraints[at].name == *name;
        let stays = |c: &&Attached<Constraint>| matches!(&c.origin, Origin::Table(of, at) if of == table && is(*at));
        // One whose field left is set where the field went.
        let Some(constraint) = relation.constraints.iter().find(stays) else { continue };
        let ConstraintKind::Foreign(wanted) = &constraint.item.kind else { continue };
        let key = &ForeignKey { on_update: wanted.on_update, on_delete: wanted.on_delete, ..key.clone() };
        let text = attach::foreign_key(version, &constraint.item, key);
        lines.extend(later.lines(&relation.name, &constraint.item, &text, far(version, key)));
    }
    for relation in rebuilt {
        for (table, constraint) in followers(version, relation, keep) {
            if let ConstraintKind::Foreign(key) = &constraint.kind {
                let text = attach::foreign_key(version, constraint, key);
                lines.extend(later.lines(table, constraint, &text, far(version, key)));
            }
        }
    }
    if lines.is_empty() {
        return Vec::new();
    }
    let names = list(&rebuilt.iter().map(|r| r.name.short()).collect::<Vec<_>>());
    vec![PlanStep::new(format!("point the foreign keys of other tables to {names}"), lines.join("\n"))]
}
