//! A migration as one statement for somebody else's runner: it looks where the database is, does all of it or nothing,
//! and leaves the settings of the session as they were. One statement, since runners differ in where they cut texts.

use crate::generate::list;
use crate::name::{OWN, TableName};
use crate::plan::materialize::ready::READY;
use crate::sql::Literal;

/// A sentence, and the statements that do it.
pub type Part = (String, String);

/// What a refactoring is called and what its file says, as the journal knows it.
pub type Known = (String, String);

/// The settings under which our statements mean the same everywhere; what they were before comes back at the end.
const SETTINGS: [(&str, &str); 11] = [
    ("quote_all_identifiers", "off"),
    ("standard_conforming_strings", "on"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("jit", "off"),
    ("check_function_bodies", "off"),
    ("client_min_messages", "warning"),
    ("lock_timeout", "2s"),
    ("search_path", "pg_catalog, pg_temp"),
];

/// Where a migration leads from, by the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Its refactorings are unknown; to be shown.
    Unknown,
    /// Deferred, or unknown and shown first; to be made real.
    Shown,
    /// Deferred; to be taken back.
    Deferred,
    /// Real; to be taken back.
    Real,
}

/// What a migration does to a database.
#[derive(Debug, Clone)]
pub struct Migration {
    /// In one line.
    pub title: String,
    /// Where it leads from.
    pub from: From,
    /// The refactorings.
    pub names: Vec<Known>,
    /// The statement that says where the names of what a person wrote are looked up.
    pub path: String,
    /// The tables that it concerns and what they are like there.
    pub tables: Vec<TableName>,
    /// A line for each thing that is so.
    pub like: Vec<String>,
    /// What shows the refactorings first, where they are not shown.
    pub shows: Vec<Part>,
    /// What is done.
    pub parts: Vec<Part>,
    /// Tables with kept values that it may make: such a table of an earlier time is put aside.
    pub keeps: Vec<TableName>,
}

/// A query for what tables are like, a line for each thing, the same in each database that has the same. `written` tells how
/// a name is written as a constant.
pub fn likeness(tables: &[TableName], written: impl Fn(&str) -> String) -> String {
    let names = list(&tables.iter().map(|table| written(&table.to_string())).collect::<Vec<_>>());
    format!(
        "SELECT l.said FROM (SELECT pg_catalog.to_regclass(name)::oid AS oid FROM unnest(ARRAY[{names}]::text[]) AS name) AS t CROSS JOIN LATERAL (
      SELECT concat_ws(' ', 'table', c.oid::regclass, 'of', c.relowner::regrole, CASE WHEN c.relrowsecurity THEN 'with row policies' END, CASE WHEN c.relforcerowsecurity THEN 'forced' END) AS said
      FROM pg_class AS c WHERE c.oid = t.oid
      UNION ALL SELECT concat_ws(' ', 'field', a.attrelid::regclass::text || '.' || quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), nullif(nullif(a.attcollation, 0)::regcollation::text, '\"default\"'), CASE WHEN a.attnotnull THEN 'NOT NULL' END,
        CASE WHEN a.attidentity <> '' THEN 'IDENTITY ' || a.attidentity::text END, CASE WHEN a.attgenerated <> '' THEN 'GENERATED' END, (SELECT 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum))
      FROM pg_attribute AS a WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL SELECT concat_ws(' ', 'constraint', quote_ident(conname), 'on', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
      WHERE (conrelid = t.oid OR confrelid = t.oid) AND contype NOT IN ('t', 'n') AND conparentid = 0 AND connamespace IS DISTINCT FROM to_regnamespace('{OWN}') AND NOT starts_with(conname, '{READY}')
      UNION ALL SELECT pg_get_indexdef(i.indexrelid) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indrelid = t.oid AND NOT starts_with(c.relname, '{READY}')
      UNION ALL SELECT concat_ws(' ', pg_get_triggerdef(oid), nullif(tgenabled::text, 'O')) FROM pg_trigger WHERE tgrelid = t.oid AND NOT tgisinternal AND tgname !~ '^[!~]refactor_'
      UNION ALL SELECT concat_ws(' ', 'policy', quote_ident(polname), 'on', polrelid::regclass, polcmd, polpermissive, (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE r::regrole::text END, ', ' ORDER BY r::regrole::text COLLATE \"C\") FROM unnest(polroles) AS r), pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
      FROM pg_policy WHERE polrelid = t.oid
      UNION ALL SELECT concat_ws(' ', a.privilege_type, 'on', c.oid::regclass, 'for', CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, CASE WHEN a.is_grantable THEN 'with grant option' END)
      FROM pg_class AS c, aclexplode(c.relacl) AS a WHERE c.oid = t.oid AND a.grantee <> c.relowner
    ) AS l"
    )
}

impl Migration {
    /// The one statement. `is_special` tells whether a text means something to the runner; such a text is written with escapes.
    #[must_use]
    pub fn text(&self, is_special: &dyn Fn(&str) -> bool) -> String {
        let mut body = format!(
            "DECLARE\n  deferred text[] := '{{}}';\n  known text[] := '{{}}';\n  kept jsonb;\n  differs text;\n{}",
            self.place(is_special)
        );
        body += &self.put_aside();
        body += &format!("\n  {};\n", self.path);
        if !self.shows.is_empty() {
            body += "\n  IF pg_catalog.cardinality(deferred) = 0 THEN\n";
            body += &parts(&self.shows, is_special);
            body += "\n  END IF;\n";
        }
        body += &parts(&self.parts, is_special);
        body += "\n  PERFORM pg_catalog.set_config(s.key, s.value, true) FROM pg_catalog.jsonb_each_text(kept) AS s;\nEND\n";
        let tag = tag(&body, "migration");
        format!("DO {tag}\n{body}{tag};\n")
    }

    /// Whether the database is where this leads from.
    fn place(&self, is_special: &dyn Fn(&str) -> bool) -> String {
        let texts = |items: &mut dyn Iterator<Item = String>| {
            let items: Vec<String> = items.map(|text| literal(&text, is_special)).collect();
            format!("ARRAY[{}]::text[]", list(&items))
        };
        let names = texts(&mut self.names.iter().map(|(name, _)| name.clone()));
        let given = texts(&mut self.names.iter().map(|(name, hash)| format!("{name} {hash}")));
        let saved: Vec<String> =
            SETTINGS.iter().map(|(name, _)| format!("'{name}', pg_catalog.current_setting('{name}')")).collect();
        let set: String =
            SETTINGS.iter().map(|(name, value)| format!("  SET LOCAL {name} = {};\n", setting(name, value))).collect();
        let none = "pg_catalog.cardinality(deferred) = 0 AND pg_catalog.cardinality(known) = 0";
        let all = "deferred = given";
        let real = "pg_catalog.cardinality(deferred) = 0 AND known = given";
        let (done, ready, must) = match self.from {
            From::Unknown => (format!("{all} OR {real}"), none.to_owned(), "not known"),
            From::Shown => (real.to_owned(), format!("{all} OR {none}"), "deferred, or not known"),
            From::Deferred => (none.to_owned(), all.to_owned(), "deferred"),
            From::Real => (none.to_owned(), real.to_owned(), "real"),
        };
        let title = literal(&self.title, is_special);
        let like = texts(&mut self.like.iter().cloned());
        format!(
            "  given CONSTANT text[] := {given};
BEGIN
  kept := pg_catalog.jsonb_build_object({});
{set}
  -- Another run of refactor must not work on the same.
  PERFORM pg_catalog.pg_advisory_xact_lock({});
  IF pg_catalog.to_regclass('refactor.journal') IS NOT NULL THEN
    SELECT coalesce(array_agg(j.name || ' ' || j.hash ORDER BY j.position) FILTER (WHERE j.state = 'deferred'), '{{}}'),
      coalesce(array_agg(j.name || ' ' || j.hash ORDER BY j.position) FILTER (WHERE j.state = 'materialized' AND j.name = ANY ({names})), '{{}}')
    INTO deferred, known FROM refactor.journal AS j WHERE j.state <> 'undone';
  END IF;
  IF {done} THEN
    PERFORM pg_catalog.set_config(s.key, s.value, true) FROM pg_catalog.jsonb_each_text(kept) AS s;
    RAISE NOTICE '%: it is done already', {title};
    RETURN;
  ELSIF NOT ({ready}) THEN
    RAISE EXCEPTION USING MESSAGE = {title} || ': the database is not where this was written for',
      DETAIL = 'Its refactorings must be {must}, with the same texts, and no others deferred. Deferred are: ' || array_to_string(deferred, ', ') || '; real are: ' || array_to_string(known, ', '),
      HINT = 'refactor status';
  END IF;
  SELECT pg_catalog.concat_ws('; ', 'it has ' || string_agg(d.said, ', ' ORDER BY d.said) FILTER (WHERE d.more), 'it has not ' || string_agg(d.said, ', ' ORDER BY d.said) FILTER (WHERE NOT d.more)) INTO differs
  FROM (
    (SELECT true AS more, i.said FROM ({}) AS i EXCEPT SELECT true, w FROM unnest({like}) AS w)
    UNION ALL (SELECT false, w FROM unnest({like}) AS w EXCEPT SELECT false, i.said FROM ({}) AS i)
  ) AS d;
  IF differs <> '' THEN
    RAISE EXCEPTION USING MESSAGE = {title} || ': the tables are not as this was written for', DETAIL = differs, HINT = 'refactor export writes it for the tables as they are';
  END IF;
",
            list(&saved),
            crate::plan::KEY,
            likeness(&self.tables, |name| literal(name, is_special)),
            likeness(&self.tables, |name| literal(name, is_special))
        )
    }

    /// Kept values of an earlier time, that were brought back, stay under another name.
    fn put_aside(&self) -> String {
        let mut text = String::new();
        for table in &self.keeps {
            let name = Literal(table.to_string());
            text += &format!(
                "
  IF pg_catalog.to_regclass({name}) IS NOT NULL THEN
    EXECUTE (
      SELECT string_agg(format('ALTER %s %s RENAME TO %I;', CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'S' THEN 'SEQUENCE' ELSE 'INDEX' END, c.oid::regclass, left(c.relname, 40) || '_' || pg_catalog.to_char(pg_catalog.clock_timestamp(), 'YYYYMMDDHH24MISSUS')), ' ')
      FROM pg_class AS c WHERE c.oid = {name}::regclass OR c.oid IN (SELECT i.indexrelid FROM pg_index AS i WHERE i.indrelid = {name}::regclass)
        OR c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refobjid = {name}::regclass));
  END IF;
"
            );
        }
        text
    }
}

fn setting(name: &str, value: &str) -> String {
    if name == "search_path" { value.to_owned() } else { format!("'{value}'") }
}

/// Statements of a function's body that run these.
fn parts(parts: &[Part], is_special: &dyn Fn(&str) -> bool) -> String {
    let one = |(sentence, sql): &Part| {
        let sentence = sentence.replace(['\n', '\r'], " ");
        let sentence = if is_special(&format!("-- {sentence}")) { "…".to_owned() } else { sentence };
        format!("\n  -- {sentence}\n  EXECUTE {};\n", literal_of_statements(sql.trim_end(), is_special))
    };
    parts.iter().map(one).collect()
}

/// Statements as a text that one can read; with escapes where the runner would read it, too.
fn literal_of_statements(sql: &str, is_special: &dyn Fn(&str) -> bool) -> String {
    if is_special(sql) {
        return escaped(sql);
    }
    let tag = tag(sql, "sql");
    format!("{tag}\n{sql}\n  {tag}")
}

fn literal(text: &str, is_special: &dyn Fn(&str) -> bool) -> String {
    if is_special(text) || text.contains(['\n', '\\']) { escaped(text) } else { Literal(text.to_owned()).to_string() }
}

/// A text in which nothing but letters, digits and blanks stands for itself.
fn escaped(text: &str) -> String {
    let one = |c: char| match c {
        '\n' => "\\n".to_owned(),
        c if c.is_ascii_alphanumeric() || " _.,()=;".contains(c) || !c.is_ascii() => c.to_string(),
        c => format!("\\x{:02x}", u32::from(c)),
    };
    format!("E'{}'", text.chars().map(one).collect::<String>())
}

/// A tag that the text does not contain.
fn tag(text: &str, word: &str) -> String {
    let tags = std::iter::once(format!("${word}$")).chain((1..).map(|i| format!("${word}_{i}$")));
    tags.into_iter().find(|tag| !text.contains(tag.as_str())).unwrap_or_default()
}
