//! Complements of a field that was moved on before it was real: what the earlier one remembers is told to the later one
//! when that is shown, and back when it is taken back.

use crate::generate::carry::Names;
use crate::generate::{equal, get, has, list};
use crate::name::{BODY, Ident};
use crate::version::{Carry, Direction};

/// A row of the table between, `c`, and the way from it to the later target, `b`.
struct Between {
    /// `… AS c JOIN … AS b ON …`
    from: String,
    /// The key of `c` that the earlier complement follows.
    earlier_key: Vec<String>,
    /// The key of `b` that the later one follows.
    later_key: Vec<String>,
}

fn between(earlier: &Carry, later: &Carry) -> Between {
    let of = |row: &str, columns: &[Ident]| columns.iter().map(|c| format!("{row}.{c}")).collect::<Vec<_>>();
    let more = later.hops.len() - earlier.hops.len();
    let mut from;
    match later.direction {
        Direction::Up => {
            from = format!("{} AS c", earlier.target);
            let mut below = "c".to_owned();
            for (i, hop) in later.hops[earlier.hops.len()..].iter().enumerate() {
                let here = if i + 1 == more { "b".to_owned() } else { format!("m{i}") };
                from += &format!(
                    " JOIN {} AS {here} ON {}",
                    hop.to,
                    equal(&here, &hop.to_columns, &below, &hop.from_columns)
                );
                below = here;
            }
        }
        Direction::Down => {
            from = format!("{} AS b", later.target);
            let mut below = "b".to_owned();
            for (i, hop) in later.hops[..more].iter().enumerate() {
                let here = if i + 1 == more { "c".to_owned() } else { format!("m{i}") };
                from += &format!(
                    " JOIN {} AS {here} ON {}",
                    hop.to,
                    equal(&here, &hop.to_columns, &below, &hop.from_columns)
                );
                below = here;
            }
        }
    }
    Between { from, earlier_key: of("c", earlier.target_key()), later_key: of("b", later.target_key()) }
}

/// Rows of `c` that no row with the value reaches: only for those the earlier complement speaks.
fn alone(earlier: &Carry) -> String {
    let last = earlier.hops.len() - 1;
    let on = equal(&format!("a{last}"), &earlier.hops[last].from_columns, "c", earlier.target_key());
    format!("NOT EXISTS (SELECT FROM {} WHERE {on})", get::members(earlier))
}

/// SQL that tells the later complement, new and empty, what the earlier one remembers. Fails where that is no one value.
#[must_use]
pub fn onward(earlier: &Carry, later: &Carry) -> String {
    let between = between(earlier, later);
    let (old, new) = (Names::of(earlier), Names::of(later));
    let kept = has("x", &old.complement_keys(earlier), &between.earlier_key);
    let keys = list(&new.complement_keys(later));
    let up = later.direction == Direction::Up;
    let known = if up { format!(" AND NOT x.refactor_unknown AND {}", alone(earlier)) } else { String::new() };
    let insert = format!(
        "INSERT INTO {} ({keys}, {value})\nSELECT DISTINCT {}, x.{value} FROM {} JOIN {} AS x ON {kept}{known};",
        new.complement,
        list(&between.later_key),
        between.from,
        old.complement,
        value = new.value
    );
    // The later complement has one row a key, so two values of one key are refused by it; a value that rows of the source
    // contradict is not, and must be.
    if !up {
        return insert;
    }
    let last = later.hops.len() - 1;
    let group = equal(&format!("a{last}"), &later.hops[last].from_columns, "x", &new.complement_keys(later));
    let message = crate::sql::Literal(format!(
        "each \"{}\" must have one \"{}\", but the complement of {} and the rows of \"{}\" tell more",
        later.words.to.name.as_str(),
        later.words.as_field.as_str(),
        earlier.step,
        later.words.from.name.as_str()
    ));
    format!(
        "{insert}\nDO {BODY}BEGIN IF EXISTS (SELECT FROM {} AS x JOIN {} ON {group} WHERE pg_catalog.record_image_ne(ROW(x.{}), ROW(a0.{}))) THEN\n  RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = {message};\nEND IF; END{BODY};",
        new.complement,
        get::members(later),
        new.value,
        later.column
    )
}

/// SQL that tells the earlier complement what the later shape shows, before that is taken down.
#[must_use]
pub fn back(earlier: &Carry, later: &Carry) -> String {
    let between = between(earlier, later);
    let old = Names::of(earlier);
    let keys = list(&old.complement_keys(earlier));
    let shown = get::carried(later, "b");
    let selected = list(&between.earlier_key);
    match later.direction {
        Direction::Up => format!(
            "INSERT INTO {c} ({keys}, {v})\nSELECT {selected}, {shown} FROM {from} WHERE {alone}\nON CONFLICT ({keys}) DO UPDATE SET {v} = excluded.{v}, refactor_unknown = false;",
            c = old.complement,
            v = old.value,
            from = between.from,
            alone = alone(earlier)
        ),
        // Where all below say the same, the row between says it too; where they differ, it stays as it was.
        Direction::Down => format!(
            "INSERT INTO {c} ({keys}, {v})\nSELECT {named}, (array_agg(q.v))[1] FROM (SELECT {aliased}, {shown} AS v, {now} AS w FROM {from}) AS q\nGROUP BY {named} HAVING count(DISTINCT ROW(q.v)::text) = 1 AND bool_or(pg_catalog.record_image_ne(ROW(q.v), ROW(q.w)))\nON CONFLICT ({keys}) DO UPDATE SET {v} = excluded.{v};",
            c = old.complement,
            v = old.value,
            from = between.from,
            now = get::carried(earlier, "c"),
            named = list(&(1..=between.earlier_key.len()).map(|i| format!("q.k{i}")).collect::<Vec<_>>()),
            aliased = list(
                &between.earlier_key.iter().enumerate().map(|(i, k)| format!("{k} AS k{}", i + 1)).collect::<Vec<_>>()
            ),
        ),
    }
}
