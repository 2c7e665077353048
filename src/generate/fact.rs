//! Facts and losses → queries.

use crate::fact::{Claim, Elsewhere, Fact, Loss, LossKind};
use crate::generate::carry::Names;
use crate::generate::get::{elsewhere, over, rows, way_up};
use crate::generate::place::{Needed, Place};
use crate::generate::{all, apart, equal, get, given, held, identity, kept, list, lookup, null, rule, shaped, slice};
use crate::name::{BODY, Ident, TableName, delimited};
use crate::sql::{Expression, lengths};
use crate::version::{Carry, Direction, Dormant, Hop, Version};

/// A query whose rows are the offenders: their keys as one text. It stops nowhere, so that the count is true.
#[must_use]
pub fn offenders(version: &Version, fact: &Fact) -> String {
    delimited(breaking(version, fact, ""))
}

/// `also` is asked of the rows, too, where it is about groups of them.
fn breaking(version: &Version, fact: &Fact, also: &str) -> String {
    match &fact.claim {
        Claim::Keeps { rule, words } => match version.named(&words.table) {
            Some(relation) => rule::offenders(version, relation, rule, &fact.step),
            None => "SELECT '' WHERE false".into(),
        },
        Claim::Agree { column, hops, exact, .. } => {
            let last = hops.len() - 1;
            let from = way_up(hops);
            let keys: Vec<String> = hops[last].from_columns.iter().map(|c| format!("a{last}.{c}")).collect();
            let value = identity(&format!("a0.{column}"), *exact);
            format!(
                "SELECT {key} FROM {from} WHERE {present}{also} GROUP BY {group}\nHAVING count(DISTINCT {value}) + max(CASE WHEN {value} IS NULL THEN 1 ELSE 0 END) > 1",
                key = key_text(&keys),
                present = all(&keys.iter().map(|k| format!("{k} IS NOT NULL")).collect::<Vec<_>>()),
                group = list(&keys),
            )
        }
        Claim::Reached { hops, .. } => {
            let target = &hops[hops.len() - 1];
            let keys: Vec<String> = target.to_columns.iter().map(|c| format!("b.{c}")).collect();
            format!(
                "SELECT {} FROM {} AS b WHERE NOT EXISTS (SELECT FROM {} WHERE {})",
                key_text(&keys),
                target.to,
                way_up(hops),
                equal(&format!("a{}", hops.len() - 1), &target.from_columns, "b", &target.to_columns)
            )
        }
        Claim::Reaches { hops, .. } => {
            let keys: Vec<String> = hops[0].from_columns.iter().map(|c| format!("b.{c}")).collect();
            format!("SELECT {} FROM {} AS b WHERE NOT EXISTS ({})", key_text(&keys), hops[0].from, reach(hops, "b"))
        }
        Claim::Listed { table, columns, other, found_by, compared, .. } => {
            let values: Vec<String> = columns.iter().map(|c| format!("b.{c}")).collect();
            let something = lookup::something(&values, compared);
            let is_there = lookup::matched("t", found_by, &values, compared);
            format!(
                "SELECT DISTINCT {} FROM {table} AS b WHERE {something} AND NOT EXISTS (SELECT FROM {other} AS t WHERE {})",
                key_text(&values),
                is_there
            )
        }
        Claim::Alone { table, columns, compared, .. } => {
            let values: Vec<String> = columns.iter().map(|c| format!("b.{c}")).collect();
            let something = lookup::something(&values, compared);
            let looks = lookup::looks(&values, compared);
            // Where they have no order, what they look like is grouped.
            let shown = |(value, look): (&String, &String)| {
                if value == look { value.clone() } else { format!("min({value}::text)") }
            };
            format!(
                "SELECT {} FROM {table} AS b WHERE {something} GROUP BY {} HAVING count(*) > 1",
                key_text(&values.iter().zip(&looks).map(shown).collect::<Vec<_>>()),
                list(&looks)
            )
        }
        Claim::Apart { places, .. } => apart::twice(places),
        Claim::Stays { at, .. } => held::elsewhere(version, *at),
        Claim::Unreferred { table, columns, rows, other, key, kept, .. } => {
            let among = rows.iter().map(|rows| format!(" AND ({})", over(rows, "b"))).collect::<String>();
            let kept = kept.iter().map(|kept| over(kept, "t")).collect::<String>();
            format!(
                "SELECT {} FROM {table} AS b JOIN {other} AS t ON {} WHERE ({kept}) IS NOT TRUE{among}",
                key_text(&columns.iter().map(|c| format!("b.{c}")).collect::<Vec<_>>()),
                equal("t", key, "b", columns)
            )
        }
        Claim::Fits { table, expression, type_name, not_null, rows, .. } => {
            let value = over_row(expression);
            // Never true where NULL is welcome, but asked of every row: a value that does not fit is an error.
            let kind = version.schema.kind_of(type_name);
            let null = null(&format!("({value})::{type_name}"), kind);
            let null = if kind.composite { format!("({null})") } else { null };
            let fails = if *not_null { null } else { format!("{null} IS NULL") };
            let fails = match lengths::fits(&value, type_name) {
                Some(fits) => format!("({fails} OR NOT {fits})"),
                None => fails,
            };
            // The other rows are not even tried.
            let fails = match rows {
                Some(rows) => format!("CASE WHEN {} THEN {fails} ELSE false END", over(rows, "b")),
                None => fails,
            };
            format!("SELECT (b.*)::text FROM {table} AS b WHERE {fails}")
        }
    }
}

/// The same once the fact's refactoring is deferred: a row that would have no value may have got one since, which the
/// complement keeps.
#[must_use]
pub fn offenders_still(version: &Version, fact: &Fact) -> String {
    delimited(still(version, fact, ""))
}

fn still(version: &Version, fact: &Fact, also: &str) -> String {
    let query = breaking(version, fact, also);
    let this = |c: &&Carry| c.words.field == fact.claim.words().field;
    let value = || vec![Ident::new("refactor_value")];
    let carried = version.carries.iter().filter(this).map(|c| (&c.step, Place::apart(&c.id, c.target_key(), value())));
    let added = version.added.iter().map(|a| (&a.step, Place::of_added(a)));
    let missing = !matches!(
        fact.claim,
        Claim::Agree { .. }
            | Claim::Keeps { .. }
            | Claim::Apart { .. }
            | Claim::Stays { .. }
            | Claim::Unreferred { .. }
    );
    match carried.chain(added).find(|(step, ..)| missing && **step == fact.step) {
        None => query,
        Some((_, place)) => format!(
            "{query} AND NOT EXISTS (SELECT FROM {} AS x WHERE {} AND x.{} IS NOT NULL)",
            place.table,
            place.has_of("x", "b"),
            place.value()
        ),
    }
}

/// The same among some rows of the table that the fact is about, or that its ways lead to: those whose keys `some` has. None where
/// it is not about single rows.
#[must_use]
pub fn offenders_among(
    version: &Version,
    fact: &Fact,
    base: &TableName,
    key: &[Ident],
    some: &TableName,
) -> Option<String> {
    let of = |row: &str| format!("EXISTS (SELECT FROM {some} AS k WHERE {})", equal("k", key, row, key));
    let (about, among) = match &fact.claim {
        Claim::Agree { hops, .. } => {
            let last = hops.last()?;
            let end = equal(&format!("a{}", hops.len() - 1), &last.from_columns, "b", &last.to_columns);
            (&last.to, format!("EXISTS (SELECT FROM {} AS b WHERE {end} AND {})", last.to, of("b")))
        }
        Claim::Reached { hops, .. } => (&hops.last()?.to, of("b")),
        Claim::Reaches { hops, .. } => (&hops.first()?.from, of("b")),
        Claim::Listed { table, .. } | Claim::Unreferred { table, .. } | Claim::Fits { table, .. } => (table, of("b")),
        Claim::Alone { .. } | Claim::Apart { .. } | Claim::Stays { .. } | Claim::Keeps { .. } => return None,
    };
    if about != base {
        return None;
    }
    let among = format!(" AND {among}");
    Some(delimited(match fact.claim {
        Claim::Agree { .. } => still(version, fact, &among),
        _ => still(version, fact, "") + &among,
    }))
}

/// An expression over columns, for the columns of the row `b`.
fn over_row(expression: &str) -> String {
    Expression::parse(expression).map_or_else(|_| expression.to_owned(), |e| over(&e, "b"))
}

/// For a fact about values that fit a type: a function that tries one row, and the query of those that do not fit.
#[must_use]
pub fn fitting(fact: &Fact) -> Option<(String, String)> {
    let Claim::Fits { table, expression, type_name, not_null, rows, .. } = &fact.claim else { return None };
    let value = format!("({})::{type_name}", over_row(expression));
    let fits = if *not_null { format!("{value} IS NOT NULL") } else { format!("{value} IS NULL IS NOT NULL") };
    let whole = lengths::fits(&over_row(expression), type_name);
    let fits = whole.map_or(fits.clone(), |whole| format!("{fits} AND {whole}"));
    let function = delimited(format!(
        "CREATE FUNCTION pg_temp.refactor_fits(b {table}) RETURNS boolean LANGUAGE plpgsql AS {BODY}\nBEGIN\n  RETURN {fits};\nEXCEPTION WHEN data_exception OR integrity_constraint_violation OR raise_exception THEN\n  RETURN false;\nEND\n{BODY};"
    ));
    let among = rows.as_ref().map(|rows| format!("({}) AND ", over(rows, "b"))).unwrap_or_default();
    Some((function, format!("SELECT (b.*)::text FROM {table} AS b WHERE {among}NOT pg_temp.refactor_fits(b.*)")))
}

/// A subquery that has a row when `row` reaches the end of the way.
fn reach(hops: &[Hop], row: &str) -> String {
    let mut from = format!("{} AS t1", hops[0].to);
    for (i, hop) in hops.iter().enumerate().skip(1) {
        let on = equal(&format!("t{}", i + 1), &hop.to_columns, &format!("t{i}"), &hop.from_columns);
        from += &format!(" JOIN {} AS t{} ON {on}", hop.to, i + 1);
    }
    format!("SELECT FROM {from} WHERE {}", equal("t1", &hops[0].to_columns, row, &hops[0].from_columns))
}

/// A key as one text.
pub(super) fn key_text(keys: &[String]) -> String {
    match keys {
        [one] => format!("{one}::text"),
        many => {
            let each = many.iter().map(|k| format!("coalesce({k}::text, 'NULL')")).collect::<Vec<_>>();
            format!("concat('(', concat_ws(', ', {}), ')')", list(&each))
        }
    }
}

/// The tables that must be there to count what would be lost, besides its own.
#[must_use]
pub fn lost_with(version: &Version, loss: &Loss) -> Vec<Needed> {
    let carried = |at: usize| version.carries[at].hops.iter().flat_map(|h| [h.from.clone(), h.to.clone()]);
    let tables: Vec<TableName> = match loss.kind {
        LossKind::Unreached(at) => carried(at).collect(),
        LossKind::Stayed(at) | LossKind::Halfway(at) => {
            let Dormant { carry, further, .. } = &version.dormant[at];
            let hops = carry.hops.iter().chain(further).flat_map(|h| [h.from.clone(), h.to.clone()]);
            hops.chain([Names::of(carry).complement]).collect()
        }
        LossKind::Apart(at) => vec![slice::absent(&version.slices[at])],
        LossKind::Unreal(Elsewhere::Carried(at)) => {
            carried(at).chain([Names::of(&version.carries[at]).complement]).collect()
        }
        LossKind::Unreal(Elsewhere::Added(at)) => return vec![Place::of_added(&version.added[at]).needed()],
        LossKind::Unreal(Elsewhere::Looked(at, _)) => {
            let lookup = &version.lookups[at];
            lookup.kept.iter().map(kept::kept_in).chain([lookup.other.clone()]).collect()
        }
        LossKind::Unlisted(at) => vec![version.lookups[at].other.clone()],
        _ => Vec::new(),
    };
    tables.into_iter().map(|table| (table, None)).collect()
}

/// A condition on rows `t` of the loss's table: those whose value would be lost.
#[must_use]
pub fn lost_rows(version: &Version, loss: &Loss) -> String {
    let fields = version.schema.tables.get(&loss.table).map_or(&[][..], |t| &t.fields);
    let kind = |c: &Ident| fields.iter().find(|f| f.name == *c).map(|f| version.schema.kind(f)).unwrap_or_default();
    let has_value = loss.columns.iter().map(|c| given(&format!("t.{c}"), kind(c)));
    let among = loss.rows.iter().map(|rows| format!("({})", over(rows, "t")));
    let has_value = all(&has_value.chain(among).collect::<Vec<_>>());
    let at = match loss.kind {
        LossKind::All | LossKind::Renumbered(_) => return has_value,
        LossKind::Unreal(place) => {
            let among = if has_value.is_empty() { has_value } else { format!("{has_value} AND ") };
            return format!("{among}{} IS NOT NULL", elsewhere(version, place, "t"));
        }
        LossKind::Table | LossKind::Replaced => return "true".into(),
        LossKind::Unlisted(at) => return format!("{has_value} AND {}", lookup::unlisted(&version.lookups[at], "t")),
        LossKind::Unshown(at) | LossKind::Unreferring(at) => return lookup::unshown(version, &version.lookups[at]),
        LossKind::Unfaithful(at) => {
            let among = loss.rows.iter().map(|rows| format!("({}) AND ", over(rows, "t"))).collect::<String>();
            return among + &shaped::unfaithful(&version.shaped[at], "t");
        }
        LossKind::Quarantined(at) | LossKind::Marked(at) => return rows(version, &version.quarantined[at].rows, "t"),
        LossKind::Apart(at) => return slice::left_over(version, at, "t", &loss.columns),
        LossKind::Unreached(at) => {
            let carry = &version.carries[at];
            return format!("{has_value} AND NOT EXISTS ({})", partner(carry.direction, &carry.hops));
        }
        LossKind::Stayed(at) => {
            let carry = &version.dormant[at].carry;
            return format!("{has_value} AND NOT EXISTS ({})", partner(carry.direction, &carry.hops));
        }
        LossKind::Halfway(at) => at,
    };
    let Dormant { carry, further, .. } = &version.dormant[at];
    format!("{} IS NOT NULL AND NOT EXISTS ({})", get::carried(carry, "t"), partner(carry.direction, further))
}

/// A subquery that has a row where the row `t` has one at the other end of a way.
fn partner(direction: Direction, hops: &[Hop]) -> String {
    match direction {
        Direction::Up => reach(hops, "t"),
        Direction::Down => {
            let last = hops.len() - 1;
            let end = &hops[last];
            let below = equal(&format!("a{last}"), &end.from_columns, "t", &end.to_columns);
            format!("SELECT FROM {} WHERE {below}", way_up(hops))
        }
    }
}

/// The complements that a fact is asked of: until they are there, it cannot be.
#[must_use]
pub fn read_from(version: &Version, fact: &Fact) -> Vec<Needed> {
    match &fact.claim {
        Claim::Keeps { rule, words } => {
            version.named(&words.table).map(|r| rule::read_from(version, r, rule)).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// Counts the values that are lost where a part of a table leaves, before the complement is there that says which rows
/// have one: those of old code for which the condition holds.
#[must_use]
pub fn count_at_first(version: &Version, loss: &Loss) -> Option<String> {
    let LossKind::Apart(at) = loss.kind else { return None };
    let rows = slice::left_over_at_first(version, at, "t", &loss.columns)?;
    Some(format!("SELECT count(*) FROM {} AS t WHERE {rows}", loss.table))
}

/// Counts what would be lost.
#[must_use]
pub fn count_lost(version: &Version, loss: &Loss) -> String {
    delimited(format!("SELECT count(*) FROM {} AS t WHERE {}", loss.table, lost_rows(version, loss)))
}
