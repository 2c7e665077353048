//! Filling new columns of a table that keeps its identity: one `ADD COLUMN`, one rewrite.

use crate::generate::place::Place;
use crate::generate::{ANY_WAY, BY_INDEX, all, get, list, lookup, made, once_each, own, rows, shaped};
use crate::name::{BODY, Ident, TableName};
use crate::plan::PlanStep;
use crate::plan::materialize::{Way, draft, filler};
use crate::relation::{Condition, Field, Home, Relation, Rows};
use crate::schema::{Table, TableKind};
use crate::sql::Literal;
use crate::version::{Added, Carry, Direction, Shaped, Version};

/// Adds and fills the columns that a relation has and its table has not.
///
/// `ALTER COLUMN … TYPE … USING f(key)` rewrites the table once, without bloat and without firing triggers; a function
/// may read other tables there where a subquery may not. The columns are added as of another type: a domain could refuse
/// the NULL that they start with.
#[must_use]
pub fn in_place(version: &Version, relation: &Relation) -> Vec<PlanStep> {
    let table = version.table(relation);
    let base = &relation.base;
    let (mut functions, mut adds, mut fills, mut updates) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut rewritten = false;
    for (at, field) in relation.fields.iter().enumerate() {
        let draft = draft(at);
        match field.home {
            // A table that gets new numbers is built beside the other.
            Home::Own(_) | Home::United(_) | Home::Numbered(_) => {}
            Home::Shaped(at, member) => {
                let shaped = &version.shaped[at];
                let kind = &shaped.types[member];
                let id = Ident::generated(&[shaped.id.as_str(), &member.to_string()]);
                let columns = once_each(shaped.key.iter().chain(&shaped.columns).cloned());
                let body = shaped::get(shaped, member, "b");
                let function = function(version, &id, base, &columns, kind, &body);
                let call = format!("{}({})", filler(&id), list(&columns));
                if let Some(column) = version.stays(relation, field) {
                    adds.extend(let_off(table, field, column));
                    let retyped = format!("ALTER COLUMN {column} TYPE {kind}{}", field.shape.collate());
                    if shaped.relabels() {
                        let (keep, bring) = longer(shaped, base, column);
                        functions.push(keep);
                        adds.push(retyped);
                        updates.push(bring);
                    } else {
                        functions.push(function);
                        fills.push(format!("{retyped} USING {call}"));
                    }
                } else {
                    functions.push(function);
                    adds.push(format!("ADD COLUMN {draft} boolean"));
                    fills.push(format!("ALTER COLUMN {draft} TYPE {kind} USING {call}"));
                }
            }
            Home::Looked(at, member) => {
                let lookup = &version.lookups[at];
                let kind = &lookup.types[member];
                let id = Ident::generated(&[lookup.id.as_str(), &member.to_string()]);
                let body = lookup::get(lookup, member, "b");
                let kept = lookup.kept.iter().filter(|k| k.member == member).flat_map(|k| &k.key);
                let columns = once_each(lookup.columns.iter().chain(kept).cloned());
                functions.push(function(version, &id, base, &columns, kind, &body));
                adds.push(format!("ADD COLUMN {draft} boolean"));
                let call = format!("{}({})", filler(&id), list(&columns));
                fills.push(format!("ALTER COLUMN {draft} TYPE {kind}{} USING {call}", field.shape.collate()));
            }
            Home::Carried(carry) => {
                let carry = &version.carries[carry];
                let collation = carry.collation.as_ref().map(|c| format!(" COLLATE {c}")).unwrap_or_default();
                let kind = format!("{}{collation}", carry.type_name);
                functions.push(carried_filler(version, carry));
                adds.push(format!("ADD COLUMN {draft} boolean"));
                let call = format!("{}({})", filler(&carry.id), list(&carried_arguments(carry)));
                fills.push(format!("ALTER COLUMN {draft} TYPE {kind} USING {call}"));
            }
            Home::Calculated(at) => {
                let calculated = &version.calculated[at];
                let kind = &calculated.type_name;
                let value = &calculated.value;
                adds.push(format!("ADD COLUMN {draft} {kind} GENERATED ALWAYS AS (({value})::{kind}) STORED"));
                rewritten = true;
            }
            Home::Added(added) => {
                let added = &version.added[added];
                let kind = &added.type_name;
                let collate = field.shape.collate();
                let constant = added.told_by().is_empty();
                if constant && table.kind == TableKind::Plain {
                    let seed = added.seed.as_ref().map(|s| format!(" DEFAULT ({s})::{kind}")).unwrap_or_default();
                    adds.push(format!("ADD COLUMN {draft} {kind}{collate}{seed}"));
                    updates.push(written_meanwhile(base, added, &draft));
                } else {
                    functions.push(added_filler(version, added));
                    adds.push(format!("ADD COLUMN {draft} boolean"));
                    let call = format!("{}({})", filler(&added.id), list(&added_arguments(added)));
                    fills.push(format!("ALTER COLUMN {draft} TYPE {kind}{collate} USING {call}"));
                }
            }
        }
    }
    let mut steps = Vec::new();
    if !functions.is_empty() {
        steps.push(PlanStep::new(format!("prepare to fill `{}`", base.short()), functions.join("\n")));
    }
    if !adds.is_empty() {
        let sql = format!("ALTER TABLE {base} {};", adds.join(", "));
        let step = PlanStep::new(format!("add columns to `{}`", base.short()), sql);
        steps.push(if rewritten { step.writing(table.rows, table.bytes) } else { step });
    }
    if !fills.is_empty() {
        let sql = format!("ALTER TABLE {base} {};", fills.join(", "));
        let step = PlanStep::new(format!("fill them in one rewrite of `{}`", base.short()), sql);
        steps.push(step.writing(table.rows, table.bytes));
    }
    if !updates.is_empty() {
        let sql = without_triggers(base, table, &updates.join("\n"));
        steps.push(PlanStep::new(format!("bring the values written meanwhile to `{}`", base.short()), sql));
    }
    steps
}

/// What a column has that must not meet its new type, or that the field has no more.
fn let_off(table: &Table, field: &Field, column: &Ident) -> Vec<String> {
    // PostgreSQL takes the sequence of an identity along.
    let default = field.shape.identity.is_none().then(|| format!("ALTER COLUMN {column} DROP DEFAULT"));
    let given = table.fields.iter().any(|f| f.name == *column && f.not_null);
    let not_null = (given && !field.shape.not_null).then(|| format!("ALTER COLUMN {column} DROP NOT NULL"));
    default.into_iter().chain(not_null).collect()
}

/// What new code wrote that the old type had no place for is put aside while the field gets its type.
fn longer(shaped: &Shaped, base: &TableName, column: &Ident) -> (String, String) {
    let (place, aside) = (Place::of_shaped(shaped), own(&["longer", shaped.id.as_str()]));
    let keys: Vec<String> = place.keys().iter().map(|k| format!("x.{k}")).collect();
    let value = place.value();
    let keep = format!(
        "{BY_INDEX}\nCREATE TABLE {aside} AS SELECT {}, x.{value} AS refactor_value FROM {} AS x JOIN {base} AS b ON {};",
        list(&keys),
        place.table,
        place.has_of("x", "b"),
    );
    let bring = format!(
        "UPDATE {base} AS b SET {column} = x.refactor_value FROM {aside} AS x WHERE {};\nDROP TABLE {aside};\n{ANY_WAY}",
        place.belongs("x", "b"),
    );
    (keep, bring)
}

/// Gives a table that SQL of the user tells its rows.
#[must_use]
pub fn told(version: &Version, relation: &Relation) -> Option<PlanStep> {
    if !matches!(relation.rows, Rows::Told(_)) {
        return None;
    }
    let given: Vec<String> =
        relation.fields.iter().filter(|f| f.shape.generated.is_none()).map(|f| f.shape.name.to_string()).collect();
    let base = &relation.base;
    let mut sql = format!(
        "INSERT INTO {base} ({}) OVERRIDING SYSTEM VALUE\nSELECT {}\nFROM {};",
        list(&given),
        list(&given.iter().map(|f| format!("b.{f}")).collect::<Vec<_>>()),
        rows::source(version, relation),
    );
    sql.extend(numbered_on(relation, &base.to_string()));
    sql.extend(made::grants(version.table(relation), base).iter().map(|grant| format!("\n{grant};")));
    Some(PlanStep::new(format!("fill `{}` with the rows that its view shows", relation.name.short()), sql))
}

/// Lets the numbers of a told table go on after the highest that `rows` have.
#[must_use]
pub fn numbered_on(relation: &Relation, rows: &str) -> Vec<String> {
    let numbered = relation.fields.iter().filter(|f| f.shape.identity.is_some());
    let on = numbered.filter_map(|f| {
        let (field, sequence) = (&f.shape.name, f.shape.sequence.as_ref()?);
        let name = Literal(sequence.to_string());
        Some(format!(
            "\nSELECT setval({name}, max(b.{field})) FROM {rows} AS b\nHAVING max(b.{field}) >= (SELECT last_value FROM {sequence});"
        ))
    });
    on.collect()
}

/// Rows that another table has now.
#[must_use]
pub fn let_go(version: &Version, relation: &Relation) -> Option<PlanStep> {
    let elsewhere = relation.conditions().iter().filter(|c| c.check.is_some());
    let rows: Vec<String> = elsewhere.map(|c| format!("({})", get::over(&c.holds, "b"))).collect();
    if rows.is_empty() || !relation.is_heir() {
        return None;
    }
    let (table, base, rows) = (version.table(relation), &relation.base, all(&rows));
    let sql = format!("DELETE FROM {base} AS b WHERE ({rows}) IS NOT TRUE;");
    let sentence = format!("let go of the rows of `{}` that have a table of their own now", base.short());
    Some(PlanStep::new(sentence, without_triggers(base, table, &sql)))
}

/// Takes rows in quarantine out of their tables, in the order of the rules that they break: a row may refer to one that
/// is put apart later. All new fields are filled by now, and read these rows where they came before the rule.
#[must_use]
pub fn put_apart(version: &Version, ways: &[(&Relation, Way)]) -> Vec<PlanStep> {
    let ways = || ways.iter().filter(|(r, _)| r.is_heir());
    let quarantined = ways().filter(|(r, _)| r.quarantines().next().is_some()).count();
    // A table that is built anew has not got them. But while its old one is there, they refer to others.
    let stays = |way: &Way| *way != Way::Rebuild || quarantined > 1;
    let mut apart: Vec<(&Relation, &Condition)> =
        ways().filter(|(_, way)| stays(way)).flat_map(|(r, _)| r.quarantines().map(|c| (*r, c))).collect();
    apart.sort_by_key(|(_, condition)| version.place_of(&condition.step));
    let delete = |(relation, condition): &(&Relation, &Condition)| {
        let base = &relation.base;
        let sql = format!("DELETE FROM {base} AS b WHERE NOT ({});", get::over(&condition.holds, "b"));
        let rows = if condition.mark.is_some() { "marked rows" } else { "rows in quarantine" };
        let sentence = format!("take the {rows} out of `{}` ({})", base.short(), condition.step);
        PlanStep::new(sentence, without_triggers(base, version.table(relation), &sql))
    };
    apart.iter().map(delete).collect()
}

/// The functions were only for the filling.
#[must_use]
pub fn drop_fillers(version: &Version) -> Vec<PlanStep> {
    let ids = version.carries.iter().map(|c| c.id.clone()).chain(version.added.iter().map(|a| a.id.clone()));
    let members = version
        .shaped
        .iter()
        .map(|s| (&s.id, s.names.len()))
        .chain(version.lookups.iter().map(|l| (&l.id, l.shows.len())))
        .flat_map(|(id, count)| (0..count).map(move |member| Ident::generated(&[id.as_str(), &member.to_string()])));
    let drops: Vec<String> = ids.chain(members).map(|id| format!("DROP FUNCTION IF EXISTS {};", filler(&id))).collect();
    if drops.is_empty() { Vec::new() } else { vec![PlanStep::new("put the filling functions away", drops.join("\n"))] }
}

/// Indexes that lookups need and nobody made, for the time of the filling: without them it would take the square of the
/// rows. A table that is built anew is joined instead.
#[must_use]
pub fn lookup_indexes(version: &Version, in_place: impl Fn(&TableName) -> bool) -> (Vec<PlanStep>, Vec<PlanStep>) {
    let looked_up = version.carries.iter().filter(|c| in_place(&c.target));
    let hops = looked_up.flat_map(|c| c.unindexed(&version.schema));
    let wanted = once_each(hops.map(|hop| (&hop.from, &hop.from_columns)));
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (at, (table, columns)) in wanted.into_iter().enumerate() {
        let name = Ident::new(format!("refactor_lookup_{at}"));
        before.push(PlanStep::new(
            format!("index `{}` for the lookups, for now", table.short()),
            format!("CREATE INDEX {name} ON {table} ({});", list(columns)),
        ));
        let index = table.renamed(name);
        after.push(PlanStep::new(format!("drop that index of `{}`", table.short()), format!("DROP INDEX {index};")));
    }
    (before, after)
}

/// Filling is not a write of the application: its triggers keep still.
pub(super) fn without_triggers(base: &TableName, table: &Table, sql: &str) -> String {
    let active = || table.triggers.iter().filter(|t| t.enabled != 'D');
    if active().next().is_none() {
        return sql.to_owned();
    }
    let off: Vec<String> = active().map(|t| format!("ALTER TABLE {base} DISABLE TRIGGER {};", t.name)).collect();
    let on = active().filter_map(|t| Some(format!("ALTER TABLE {base} {} TRIGGER {};", enable(t.enabled)?, t.name)));
    format!("{}\n{sql}\n{}", off.join("\n"), on.collect::<Vec<_>>().join("\n"))
}

/// How a trigger's state (`tgenabled`) is set.
pub(super) fn enable(state: char) -> Option<&'static str> {
    match state {
        'O' => Some("ENABLE"),
        'A' => Some("ENABLE ALWAYS"),
        'R' => Some("ENABLE REPLICA"),
        'D' => Some("DISABLE"),
        _ => None,
    }
}

/// Gives rows what the complement keeps of a field that has a column now.
#[must_use]
pub fn written_meanwhile(base: &TableName, added: &Added, draft: &Ident) -> String {
    let place = Place::of_added(added);
    format!(
        "ALTER TABLE {base} ALTER COLUMN {draft} DROP DEFAULT;\nUPDATE {base} AS b SET {draft} = x.{} FROM {} AS x WHERE {};",
        place.value(),
        place.table,
        place.has_of("x", "b")
    )
}

/// Columns of the target that a lookup reads.
fn carried_arguments(carry: &Carry) -> Vec<Ident> {
    let reference = if carry.direction == Direction::Down { &*carry.hops[0].from_columns } else { &[] };
    once_each(carry.target_key().iter().chain(reference).cloned())
}

fn added_arguments(added: &Added) -> Vec<Ident> {
    once_each(added.key.iter().cloned().chain(added.told_by()))
}

fn carried_filler(version: &Version, carry: &Carry) -> String {
    let body = get::carried(carry, "b");
    function(version, &carry.id, &carry.target, &carried_arguments(carry), &carry.type_name, &body)
}

fn added_filler(version: &Version, added: &Added) -> String {
    let body = get::added(added, "b");
    function(version, &added.id, &added.table, &added_arguments(added), &added.type_name, &body)
}

/// `CREATE FUNCTION fill(c1, c2 …)` whose body sees its arguments as the row `b`.
fn function(version: &Version, id: &Ident, table: &TableName, columns: &[Ident], kind: &str, body: &str) -> String {
    let fields = &version.schema.tables[table].fields;
    let typed = columns.iter().enumerate().map(|(i, c)| {
        let name = fields.iter().find(|f| f.name == *c).map_or("text", |f| &f.type_name);
        format!("a{} {name}", i + 1)
    });
    let selected: Vec<String> = columns.iter().enumerate().map(|(i, c)| format!("${} AS {c}", i + 1)).collect();
    let name = filler(id);
    format!(
        "CREATE FUNCTION {name}({}) RETURNS {kind} LANGUAGE sql STABLE AS {BODY}\n  SELECT {body}\n  FROM (SELECT {}) AS b\n{BODY};\nCOMMENT ON FUNCTION {name} IS 'refactor: fills a new column';",
        list(&typed.collect::<Vec<_>>()),
        list(&selected),
    )
}
