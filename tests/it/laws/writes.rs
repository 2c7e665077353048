//! Random writes to any tables: reads what is there from the catalogue and makes statements of every shape that a table
//! must bear. Only statements whose effect does not depend on the order in which rows are visited.

use postgres::Client;

use super::random::Random;

#[allow(clippy::struct_excessive_bools)] // what the catalogue says
pub struct Column {
    pub name: String,
    kind: String,
    not_null: bool,
    /// Computed from others.
    pub generated: bool,
    /// Neither written nor set: generated, or always numbered.
    fixed: bool,
    /// Part of the primary key.
    key: bool,
    /// Part of a foreign key.
    refers: bool,
    /// Unique, alone or with others.
    unique: bool,
}

pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    /// Foreign keys: own fields, table, its fields.
    refers: Vec<(Vec<String>, String, Vec<String>)>,
}

/// Values a field of this name takes, beside those of its type.
pub type Pool = (&'static str, &'static [&'static str]);

pub struct Writer {
    pub tables: Vec<Table>,
    pools: &'static [Pool],
}

const COLUMNS: &str = "
    SELECT c.oid::regclass::text, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), a.attnotnull,
      a.attgenerated <> '' OR a.attidentity = 'a',
      coalesce(bool_or(a.attnum = ANY (k.conkey)) FILTER (WHERE k.contype = 'p'), false),
      coalesce(bool_or(a.attnum = ANY (k.conkey)) FILTER (WHERE k.contype = 'f'), false),
      EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND a.attnum = ANY (i.indkey)),
      a.attgenerated <> ''
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_constraint k ON k.conrelid = c.oid
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = $1::text::regnamespace
    GROUP BY c.oid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated, a.attidentity
    ORDER BY c.oid::regclass::text, a.attnum";

const KEYS: &str = "
    SELECT conrelid::regclass::text, confrelid::regclass::text,
      (SELECT array_agg(quote_ident(attname) ORDER BY array_position(conkey, attnum)) FROM pg_attribute
        WHERE attrelid = conrelid AND attnum = ANY (conkey)),
      (SELECT array_agg(quote_ident(attname) ORDER BY array_position(confkey, attnum)) FROM pg_attribute
        WHERE attrelid = confrelid AND attnum = ANY (confkey))
    FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 AND connamespace = $1::text::regnamespace
    ORDER BY conrelid::regclass::text, conname";

impl Writer {
    /// A writer to the real tables of schema `public`; names come as the session's search path demands.
    pub fn new(client: &mut Client, pools: &'static [Pool]) -> Self {
        let mut tables: Vec<Table> = Vec::new();
        for row in client.query(COLUMNS, &[&"public"]).unwrap() {
            let name: String = row.get(0);
            if tables.last().is_none_or(|t| t.name != name) {
                tables.push(Table { name, columns: Vec::new(), refers: Vec::new() });
            }
            tables.last_mut().unwrap().columns.push(Column {
                name: row.get(1),
                kind: row.get(2),
                not_null: row.get(3),
                generated: row.get(8),
                fixed: row.get(4),
                key: row.get(5),
                refers: row.get(6),
                unique: row.get(7),
            });
        }
        for row in client.query(KEYS, &[&"public"]).unwrap() {
            let name: String = row.get(0);
            if let Some(table) = tables.iter_mut().find(|t| t.name == name) {
                table.refers.push((row.get(2), row.get(1), row.get(3)));
            }
        }
        Self { tables, pools }
    }

    fn value(&self, r: &mut Random, column: &Column) -> String {
        let bare = column.name.trim_matches('"');
        if let Some((_, pool)) = self.pools.iter().find(|(name, _)| *name == bare) {
            return (*r.pick(pool)).to_owned();
        }
        if column.kind.starts_with("text") || column.kind.starts_with("char") {
            return (*r.pick(&["'u'", "'v'", "'w'", "'u v'", "''"])).to_owned();
        }
        if column.kind == "jsonb" {
            return (*r.pick(&["'{\"k\": 1}'", "'{}'", "'{\"a\": [3], \"k\": null}'", "'[2]'"])).to_owned();
        }
        if column.kind == "boolean" {
            return (*r.pick(&["true", "false"])).to_owned();
        }
        if column.key || column.refers { (1 + r.below(9)).to_string() } else { r.below(6).to_string() }
    }

    /// Mostly a value; NULL where it may be, and now and then where it may not.
    fn written(&self, r: &mut Random, column: &Column) -> String {
        if column.fixed {
            // NULL and DEFAULT would be right, but a view's trigger cannot tell them from nothing and from NULL.
            return self.value(r, column);
        }
        let null = if column.not_null { 3 } else { 18 };
        if r.percent(null) {
            "NULL".into()
        } else if r.percent(if column.key { 0 } else { 10 }) {
            "DEFAULT".into()
        } else {
            self.value(r, column)
        }
    }

    /// A condition on rows of `table`, which the statement calls `alias`.
    fn condition(&self, r: &mut Random, table: &Table, alias: &str) -> String {
        let any = |r: &mut Random| table.columns[r.below(table.columns.len())].name.clone();
        let keys: Vec<&Column> = table.columns.iter().filter(|c| c.key).collect();
        match r.below(100) {
            0..60 if !keys.is_empty() => {
                let parts: Vec<String> =
                    keys.iter().map(|c| format!("{alias}.{} = {}", c.name, self.value(r, c))).collect();
                parts.join(" AND ")
            }
            60..82 => {
                let column = &table.columns[r.below(table.columns.len())];
                format!("{alias}.{} = {}", column.name, self.value(r, column))
            }
            82..92 => {
                let column = &table.columns[r.below(table.columns.len())];
                format!("{alias}.{} < {}", column.name, self.value(r, column))
            }
            92..95 => format!("{alias}.{} IS NULL", any(r)),
            95..98 => format!("{alias}.{} IS NOT NULL", any(r)),
            _ => "true".into(),
        }
    }

    fn insert(&self, r: &mut Random, table: &Table) -> String {
        let columns: Vec<&Column> = table
            .columns
            .iter()
            .filter(|c| {
                r.percent(match () {
                    () if c.fixed => 3,
                    () if c.key => 88,
                    () if c.not_null => 93,
                    () => 75,
                })
            })
            .collect();
        if columns.is_empty() {
            return format!("INSERT INTO {} DEFAULT VALUES RETURNING *", table.name);
        }
        let rows: Vec<String> = (0..*r.pick(&[1, 1, 1, 2, 3]))
            .map(|_| {
                let values: Vec<String> = columns.iter().map(|c| self.written(r, c)).collect();
                format!("({})", values.join(", "))
            })
            .collect();
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        let returning = *r.pick(&[" RETURNING *", " RETURNING *", ""]);
        format!("INSERT INTO {} ({}) VALUES {}{returning}", table.name, names.join(", "), rows.join(", "))
    }

    fn insert_select(&self, r: &mut Random, table: &Table) -> String {
        let from = r.pick(&self.tables);
        let columns: Vec<&Column> = table.columns.iter().filter(|c| !c.fixed && (c.key || r.percent(85))).collect();
        if columns.is_empty() {
            return self.delete(r, table);
        }
        let values: Vec<String> = columns
            .iter()
            .map(|c| {
                let same: Vec<&Column> = from.columns.iter().filter(|f| f.kind == c.kind).collect();
                if c.key
                    && c.kind == "integer"
                    && r.percent(60)
                    && from.columns.iter().any(|f| f.key && f.kind == c.kind)
                {
                    let key = from.columns.iter().find(|f| f.key && f.kind == c.kind).unwrap();
                    format!("s.{} + {}", key.name, r.below(9))
                } else if !same.is_empty() && r.percent(70) {
                    format!("s.{}", r.pick(&same).name)
                } else {
                    format!("{}::{}", self.value(r, c), c.kind)
                }
            })
            .collect();
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        format!(
            "INSERT INTO {} ({}) SELECT {} FROM {} AS s WHERE {} ORDER BY s LIMIT 3 RETURNING *",
            table.name,
            names.join(", "),
            values.join(", "),
            from.name,
            self.condition(r, from, "s"),
        )
    }

    fn assignment(&self, r: &mut Random, table: &Table, column: &Column) -> String {
        let name = &column.name;
        if column.fixed {
            return format!("{name} = {}", self.value(r, column));
        }
        let number = column.kind == "integer" || column.kind.starts_with("numeric");
        let to = match r.below(100) {
            0..12 => format!("t.{name}"),
            // Neighbours in a unique key would be swapped in some order; far away nobody stands in the way.
            12..22 if number && column.unique => {
                let table = &table.name;
                format!("t.{name} + (SELECT max({name}) - min({name}) + 1 FROM {table})")
            }
            12..30 if number && !column.unique => format!("t.{name} + 1"),
            12..25 if column.kind == "text" && !column.key && !column.refers => {
                format!("coalesce(t.{name}, '') || 'z'")
            }
            _ => self.written(r, column),
        };
        format!("{name} = {to}")
    }

    fn assignments(&self, r: &mut Random, table: &Table) -> String {
        let mut wanted: Vec<&Column> = Vec::new();
        for _ in 0..*r.pick(&[1, 1, 1, 2, 2, 3]) {
            let column = &table.columns[r.below(table.columns.len())];
            let rare = (column.key && r.percent(65)) || (column.fixed && r.percent(95));
            if !rare && !wanted.iter().any(|w| w.name == column.name) {
                wanted.push(column);
            }
        }
        if wanted.is_empty() {
            wanted.push(table.columns.iter().rev().find(|c| !c.fixed).unwrap());
        }
        wanted.iter().map(|c| self.assignment(r, table, c)).collect::<Vec<_>>().join(", ")
    }

    /// The same for two tables at once: a value from the other.
    fn update_from(&self, r: &mut Random, table: &Table) -> String {
        let sets = self.assignments(r, table);
        let name = &table.name;
        if r.percent(50) {
            let keys: Vec<&Column> = table.columns.iter().filter(|c| c.key).collect();
            let Some(key) = keys.first() else { return format!("UPDATE {name} AS t SET {sets} RETURNING t.*") };
            let value = self.value(r, key);
            return format!(
                "UPDATE {name} AS t SET {sets} FROM (VALUES ({value}), ({value}), ({})) AS v (k) WHERE t.{} = v.k RETURNING t.*",
                self.value(r, key),
                key.name
            );
        }
        let Some((fields, other, theirs)) = table.refers.first() else {
            return format!("UPDATE {name} AS t SET {sets} RETURNING t.*");
        };
        let on: Vec<String> = fields.iter().zip(theirs).map(|(f, t)| format!("t.{f} = o.{t}")).collect();
        let there = self.tables.iter().find(|t| &t.name == other).unwrap();
        format!(
            "UPDATE {name} AS t SET {sets} FROM {other} AS o WHERE {} AND {} RETURNING t.*",
            on.join(" AND "),
            self.condition(r, there, "o")
        )
    }

    fn update_lookup(&self, r: &mut Random, table: &Table) -> String {
        let from = r.pick(&self.tables);
        let column = &table.columns[r.below(table.columns.len())];
        let same: Vec<&Column> = from
            .columns
            .iter()
            .filter(|f| f.kind == column.kind && !["boolean", "jsonb"].contains(&&*f.kind))
            .collect();
        if column.unique || column.fixed || same.is_empty() {
            return self.delete(r, table);
        }
        let read = &r.pick(&same).name;
        format!(
            "UPDATE {} AS t SET {} = (SELECT max(s.{read}) FROM {} AS s WHERE {}) WHERE {} RETURNING t.*",
            table.name,
            column.name,
            from.name,
            self.condition(r, from, "s"),
            self.condition(r, table, "t")
        )
    }

    fn delete(&self, r: &mut Random, table: &Table) -> String {
        if let Some((fields, other, theirs)) = table.refers.first()
            && r.percent(20)
        {
            let on: Vec<String> = fields.iter().zip(theirs).map(|(f, t)| format!("t.{f} = o.{t}")).collect();
            let there = self.tables.iter().find(|t| &t.name == other).unwrap();
            return format!(
                "DELETE FROM {} AS t USING {other} AS o WHERE {} AND {} RETURNING t.*",
                table.name,
                on.join(" AND "),
                self.condition(r, there, "o")
            );
        }
        format!("DELETE FROM {} AS t WHERE {} RETURNING *", table.name, self.condition(r, table, "t"))
    }

    fn delete_and_insert(&self, r: &mut Random, table: &Table) -> String {
        // A table may have nothing but its key.
        let same_key = r.percent(50) || table.columns.iter().all(|c| c.key || c.fixed);
        let columns: Vec<&Column> = table.columns.iter().filter(|c| !c.fixed && (same_key || !c.key)).collect();
        let into: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        let from: Vec<String> = columns
            .iter()
            .map(|c| {
                let next = c.refers && c.kind == "integer" && r.percent(40);
                if next { format!("{} + 1", c.name) } else { c.name.clone() }
            })
            .collect();
        format!(
            "WITH d AS (DELETE FROM {name} AS t WHERE {} RETURNING *) INSERT INTO {name} ({}) SELECT {} FROM d ORDER BY d LIMIT 3 RETURNING *",
            self.condition(r, table, "t"),
            into.join(", "),
            from.join(", "),
            name = table.name
        )
    }

    /// A row and one that refers to it, in one statement.
    fn insert_both(&self, r: &mut Random, table: &Table) -> String {
        let Some((fields, other, theirs)) = table.refers.first() else { return self.insert(r, table) };
        let there = self.tables.iter().find(|t| &t.name == other).unwrap();
        let part = |r: &mut Random, table: &Table, given: &[String]| {
            let columns: Vec<&Column> = table
                .columns
                .iter()
                .filter(|c| !c.fixed && !given.contains(&c.name) && (c.key || c.not_null || r.percent(70)))
                .collect();
            let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
            let values: Vec<String> = columns
                .iter()
                .map(|c| if c.not_null || r.percent(80) { self.value(r, c) } else { "NULL".into() })
                .collect();
            (names, values)
        };
        let (names, values) = part(r, there, &[]);
        if names.is_empty() {
            return self.insert(r, table);
        }
        let (mut into, mut from) = part(r, table, fields);
        into.extend(fields.iter().cloned());
        from.extend(theirs.iter().map(|t| format!("x.{t}")));
        format!(
            "WITH x AS (INSERT INTO {other} ({}) VALUES ({}) RETURNING *) INSERT INTO {} ({}) SELECT {} FROM x RETURNING *",
            names.join(", "),
            values.join(", "),
            table.name,
            into.join(", "),
            from.join(", ")
        )
    }

    /// Writes back what was read.
    pub fn unchanged(&self, r: &mut Random) -> String {
        let table = r.pick(&self.tables);
        let mut sets: Vec<String> = Vec::new();
        for column in table.columns.iter().filter(|c| !c.fixed) {
            if r.percent(60) {
                sets.push(format!("{0} = t.{0}", column.name));
            }
        }
        if sets.is_empty() {
            sets.push(format!("{0} = t.{0}", table.columns.iter().find(|c| !c.fixed).unwrap().name));
        }
        format!("UPDATE {} AS t SET {} RETURNING *", table.name, sets.join(", "))
    }

    /// Any write.
    pub fn any(&self, r: &mut Random) -> String {
        let table = r.pick(&self.tables);
        match r.weighted(&[30, 5, 26, 7, 5, 16, 4, 4, 2, 3]) {
            0 => self.insert(r, table),
            1 => self.insert_select(r, table),
            2 => {
                let sets = self.assignments(r, table);
                let returning = *r.pick(&[" RETURNING *", " RETURNING *", ""]);
                format!("UPDATE {} AS t SET {sets} WHERE {}{returning}", table.name, self.condition(r, table, "t"))
            }
            3 => self.update_from(r, table),
            4 => self.update_lookup(r, table),
            5 => self.delete(r, table),
            6 => self.delete_and_insert(r, table),
            7 => self.insert_both(r, table),
            8 => {
                let sets = self.assignments(r, table);
                format!(
                    "WITH u AS (UPDATE {} AS t SET {sets} WHERE {} RETURNING *) SELECT count(*) FROM u",
                    table.name,
                    self.condition(r, table, "t")
                )
            }
            _ => {
                let keys: Vec<&Column> =
                    table.columns.iter().filter(|c| c.refers && !c.unique && c.kind == "integer").collect();
                if keys.is_empty() {
                    return self.unchanged(r);
                }
                let name = &r.pick(&keys).name;
                format!("UPDATE {} AS t SET {name} = t.{name} {} 1 RETURNING *", table.name, r.pick(&["+", "-"]))
            }
        }
    }
}
