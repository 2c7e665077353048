//! Reads a small nasty schema, in a transaction that is rolled back.

use postgres::{Client, NoTls, Transaction};
use refactor::name::{Ident, TableName};
use refactor::schema::{ConstraintKind, Field, ForeignKey, Grant, Identity, ReplicaIdentity, Schema, Table, TableKind};

const SCHEMA: &str = "Na sty";

/// Runs a test on the nasty schema.
fn with_nasty(test: impl FnOnce(&mut Transaction<'_>, &Schema)) {
    let url = crate::support::maintenance_url();
    let mut client = Client::connect(&url, NoTls).unwrap();
    let mut transaction = client.transaction().unwrap();
    // The tests of this file create the same role; one after the other, please.
    transaction.batch_execute("SELECT pg_advisory_xact_lock(42)").unwrap();
    transaction.batch_execute(include_str!("nasty.sql")).unwrap();
    let schema = refactor::schema::read::read(&mut transaction).unwrap();
    test(&mut transaction, &schema);
}

fn name(name: &str) -> TableName {
    TableName::new(SCHEMA, name)
}

fn table<'a>(schema: &'a Schema, table: &str) -> &'a Table {
    schema.table(&name(table)).unwrap()
}

fn idents(names: &[&str]) -> Vec<Ident> {
    names.iter().copied().map(Ident::from).collect()
}

fn pairs(pairs: &[(TableName, Ident)]) -> Vec<String> {
    pairs.iter().map(|(table, field)| format!("{}.{field}", table.name)).collect()
}

fn names<'a>(names: impl IntoIterator<Item = &'a TableName>) -> Vec<String> {
    names.into_iter().map(|name| format!("{}.{}", name.schema.as_str(), name.name.as_str())).collect()
}

#[test]
fn the_search_path_is_told_and_left_alone() {
    with_nasty(|transaction, schema| {
        assert_eq!(schema.search_path, idents(&[SCHEMA, "public"]));
        let row = transaction.query_one("SHOW search_path", &[]).unwrap();
        assert_eq!(row.get::<_, &str>(0), "\"Na sty\", missing, public");
    });
}

#[test]
fn only_the_users_objects_are_read() {
    with_nasty(|_, schema| {
        let user = |name: &&String| !name.starts_with("public.");
        let tables = names(schema.tables.keys());
        assert_eq!(
            tables.iter().filter(user).collect::<Vec<_>>(),
            [
                "Na sty.T",
                "Na sty.heir",
                "Na sty.keyed",
                "Na sty.keyed_1",
                "Na sty.parent1",
                "Na sty.parent2",
                "Na sty.parts",
                "Na sty.parts_1",
                "Na sty.parts_1_1",
                "Na sty.parts_2",
                "Na sty.types",
                "Na sty.uses_row",
                "next_user.empty",
            ]
        );
        let views = names(schema.views.iter().map(|view| &view.name));
        assert_eq!(
            views.iter().filter(user).collect::<Vec<_>>(),
            ["Na sty.mat", "Na sty.simple", "Na sty.upon", "next_user.reads_next"]
        );
        let functions: Vec<_> =
            schema.functions.iter().map(|f| f.signature.as_str()).filter(|s| !s.starts_with("public.")).collect();
        assert_eq!(
            functions,
            [
                r#""Na sty".atomic()"#,
                r#""Na sty".proc()"#,
                r#""Na sty".tf()"#,
                r#""Na sty".whole("Na sty"."T","Na sty"."T"[])"#,
            ]
        );
        assert!(schema.schemas.contains_key(&Ident::from("next_user")));
        assert!(!schema.schemas.keys().any(|s| ["next", "next_1", "refactor", "pg_catalog"].contains(&s.as_str())));
        let others = &schema.other_names;
        let kinds: Vec<_> = ["T_s_seq", "expr", "mood", "good", "texty", "simple", "mat", "mat_i", "parts_at"]
            .map(|other| others[&name(other)])
            .into();
        assert_eq!(kinds, ["sequence", "index", "type", "type", "type", "view", "materialized view", "index", "index"]);
        for absent in ["T", "_T", "_mood", "types"] {
            assert!(!others.contains_key(&name(absent)), "{absent}");
        }
    });
}

#[test]
fn comparable_is_what_distinct_accepts() {
    with_nasty(|transaction, schema| {
        for field in &table(schema, "types").fields {
            let mut inner = transaction.transaction().unwrap();
            let query = format!("SELECT DISTINCT {0} FROM \"Na sty\".types ORDER BY {0}", field.name);
            let accepted = inner.batch_execute(&query).is_ok();
            assert_eq!(schema.kind(field).comparable, accepted, "{} {}", field.name, field.type_name);
        }
    });
}

#[test]
fn a_field_is_read_whole() {
    with_nasty(|_, schema| {
        let table = table(schema, "T");
        let grant =
            |privilege: &str| Grant { role: Some("Nasty Role".into()), privilege: privilege.into(), grantable: true };
        let b = Field {
            name: "b".into(),
            number: 3,
            type_name: "text".into(),
            collation: None,
            not_null: false,
            default: None,
            identity: None,
            generated: None,
            sequence: None,
            storage: Some("MAIN"),
            compression: Some("pglz"),
            statistics: Some(0),
            options: vec!["n_distinct=5".into()],
            comment: Some("field".into()),
            grants: vec![grant("SELECT"), grant("UPDATE")],
            local: true,
        };
        assert_eq!(table.fields[2], b);
        let fields: Vec<_> = table.fields.iter().map(|field| (field.number, field.name.as_str())).collect();
        assert_eq!(
            fields,
            [(1, "Id"), (2, "select"), (3, "b"), (4, "c"), (5, "d"), (7, "long"), (8, "s"), (9, "day"), (10, "during")]
        );
        assert_eq!(table.fields[0].identity, Some(Identity::Always));
        assert_eq!(table.fields[0].sequence, Some(name("T_Id_seq")));
        assert_eq!(table.fields[1].default.as_deref(), Some("'it''s'::text"));
        let generated = table.fields[5].generated.clone().unwrap();
        assert_eq!((generated.expression.as_str(), generated.stored), ("(upper(b) || c)", true));
        assert_eq!(generated.fields, idents(&["b", "c"]));
        assert_eq!(table.fields[6].default.as_deref(), Some(r#"nextval('"Na sty"."T_s_seq"'::regclass)"#));
        assert_eq!(table.fields[6].sequence, Some(name("T_s_seq")));
    });
}

#[test]
fn constraints_tell_their_fields() {
    with_nasty(|_, schema| {
        let constraints: Vec<_> = table(schema, "T")
            .constraints
            .iter()
            .map(|c| {
                let fields: Vec<_> = c.fields.iter().map(Ident::as_str).collect();
                format!("{} ({}) {} {}", c.name, fields.join(", "), c.deferred, c.validated)
            })
            .collect();
        assert_eq!(
            constraints,
            [
                r#""T pk" (Id) false true"#,
                r#""T_check" () false true"#,
                "apart (during, b, c) false true",
                "far (s, day) false true",
                "late (s) false false",
                "two (b, c, d) false true",
                "uni (c, b) true true",
            ]
        );
        let far = &table(schema, "T").constraints[3];
        assert_eq!(
            far.kind,
            ConstraintKind::Foreign(ForeignKey {
                table: name("keyed"),
                fields: idents(&["id", "day"]),
                on_update: 'r',
                on_delete: 'd',
                match_full: true,
            })
        );
        assert_eq!(
            far.definition,
            r#"FOREIGN KEY (s, day) REFERENCES "Na sty".keyed(id, day) MATCH FULL ON UPDATE RESTRICT ON DELETE SET DEFAULT"#
        );
    });
}

#[test]
fn indexes_and_statistics_tell_their_fields() {
    with_nasty(|_, schema| {
        let table = table(schema, "T");
        let index = table.indexes.iter().find(|index| index.name.as_str() == "expr").unwrap();
        assert_eq!(index.keys, [None, Some("select".into()), None]);
        assert_eq!(index.fields, idents(&["select", "s", "b", "c", "d", "day"]));
        assert_eq!(index.statistics, [(3, 33)]);
        assert!(index.unique && index.partial && index.valid && index.immediate && index.constraint.is_none());
        let key = table.indexes.iter().find(|index| index.name.as_str() == "T pk").unwrap();
        assert_eq!((key.keys.len(), key.fields.clone()), (1, idents(&["Id", "b"])));
        assert_eq!(table.replica_identity, ReplicaIdentity::Index("ident".into()));
        let statistics: Vec<_> = table.statistics.iter().map(|s| (&s.name, s.fields.clone(), s.target)).collect();
        assert_eq!(
            statistics,
            [
                (&name("st2"), idents(&["b", "d"]), None),
                (&TableName::new("next_user", "st"), idents(&["c", "day", "b"]), Some(44)),
            ]
        );
    });
}

#[test]
fn triggers_rules_and_policies_tell_their_fields() {
    with_nasty(|_, schema| {
        let table = table(schema, "T");
        assert_eq!(table.triggers.len(), 1);
        assert_eq!(table.triggers[0].function, r#""Na sty".tf()"#);
        assert_eq!(table.rules[0].fields, idents(&["b", "c", "s"]));
        let policy = &table.policies[0];
        let me = schema.tables.values().next().unwrap().owner.clone().unwrap();
        assert_eq!(
            policy.definition,
            format!(
                "CREATE POLICY \"P 1\" ON \"Na sty\".\"T\" AS RESTRICTIVE FOR UPDATE TO \"Nasty Role\", {me} \
                 USING ((EXISTS ( SELECT\n   FROM \"Na sty\".parent1 p\n  WHERE (p.note = \"T\".b)))) \
                 WITH CHECK ((c > 'a'::text))"
            )
        );
        assert_eq!(policy.fields, idents(&["b", "c"]));
        assert_eq!(policy.comment.as_deref(), Some("policy"));
    });
}

#[test]
fn a_table_is_read_whole() {
    with_nasty(|_, schema| {
        let table = table(schema, "T");
        assert!(!table.unlogged && schema.tables[&name("uses_row")].unlogged);
        assert_eq!(table.options, ["fillfactor=60", "toast.autovacuum_enabled=false"]);
        let public: Vec<_> = table.grants.iter().flatten().filter(|grant| grant.role.is_none()).collect();
        assert_eq!(public, [&Grant { role: None, privilege: "SELECT".into(), grantable: false }]);
        assert_eq!(table.publications.len(), 1);
        assert_eq!(schema.tables[&name("parent1")].grants, None);
        assert_eq!(schema.tables[&name("parent2")].grants, Some(vec![]));
        assert_eq!(
            table.row_type_users.iter().map(|user| user.description.as_str()).collect::<Vec<_>>(),
            [
                "column many of table \"Na sty\".uses_row",
                "column one of table \"Na sty\".uses_row",
                "column whole of materialized view \"Na sty\".mat",
                "function \"Na sty\".whole(\"Na sty\".\"T\",\"Na sty\".\"T\"[])",
            ]
        );
        let empty = &schema.tables[&TableName::new("next_user", "empty")];
        assert_eq!((empty.fields.len(), empty.extension.clone()), (0, Some("citext".into())));
    });
}

#[test]
fn partitions_and_heirs_know_their_parents() {
    with_nasty(|_, schema| {
        let parts = table(schema, "parts");
        assert_eq!(parts.kind, TableKind::Partitioned);
        assert_eq!(parts.partition_key.as_deref(), Some("RANGE (at, lower((\"K ey\" || who)))"));
        assert_eq!(parts.partition_fields, idents(&["at", "K ey", "who"]));
        assert_eq!(parts.children, [name("parts_1"), name("parts_2")]);
        assert!((parts.rows - 3.0).abs() < 0.1, "{}", parts.rows);
        assert!(parts.bytes >= 4 * 8192);
        assert_eq!(table(schema, "keyed").rows.to_bits(), (-1.0_f64).to_bits());
        for part in ["parts_1", "parts_1_1", "parts_2"] {
            let part = table(schema, part);
            assert!(part.partition_of.is_some() && part.inherits.is_empty());
            assert!(part.constraints.iter().all(|constraint| constraint.inherited));
            assert!(part.indexes.iter().all(|index| index.inherited));
            assert!(part.fields.iter().all(|field| !field.local));
            let triggers: Vec<_> = part.triggers.iter().map(|t| (t.name.as_str(), t.inherited, &t.fields)).collect();
            assert_eq!(triggers, [("cloned", true, &idents(&["who", "n"]))]);
        }
        let heir = table(schema, "heir");
        assert_eq!(heir.inherits, [name("parent2"), name("parent1")]);
        assert!(heir.constraints[0].inherited);
        assert_eq!(table(schema, "parent1").children, [name("heir")]);
    });
}

#[test]
fn views_and_functions_tell_what_they_read() {
    with_nasty(|_, schema| {
        let view = |view: &TableName| schema.views.iter().find(|v| v.name == *view).unwrap();
        let simple = view(&name("simple"));
        assert_eq!(pairs(&simple.reads), ["\"T\".\"Id\"", "\"T\".b"]);
        let mut relations = names(&simple.relations);
        relations.sort();
        assert_eq!(relations, ["Na sty.T", "Na sty.parent1"]);
        assert_eq!(pairs(&view(&name("upon")).reads), ["simple.x"]);
        assert_eq!(names(&view(&name("mat")).relations), ["Na sty.T"]);
        assert_eq!(names(&view(&TableName::new("next_user", "reads_next")).relations), ["next.v"]);
        let atomic = schema.functions.iter().find(|f| f.signature.ends_with("atomic()")).unwrap();
        assert_eq!(pairs(&atomic.reads), ["\"T\".c", "\"T\".d"]);
        assert!(atomic.text.starts_with("BEGIN ATOMIC"));
    });
}

#[test]
fn newer_servers_tell_more() {
    with_nasty(|transaction, old| {
        if old.server_version < 150_000 {
            return;
        }
        let of_15 = r#"
            CREATE PUBLICATION part FOR TABLE "Na sty"."T" (b, "Id") WHERE (b > 'x');
            CREATE UNIQUE INDEX nulls ON "Na sty".parent1 (note) NULLS NOT DISTINCT;"#;
        let of_18 = r#"
            ALTER TABLE "Na sty".parent2 ADD w int GENERATED ALWAYS AS (length(extra) + id);
            INSERT INTO "Na sty".parent1 VALUES (1, NULL);
            ALTER TABLE "Na sty".parent1 ADD CONSTRAINT nn NOT NULL note NOT VALID;
            CREATE TABLE "Na sty".rooms (id int4range, at daterange, PRIMARY KEY (id, at WITHOUT OVERLAPS));"#;
        transaction.batch_execute(of_15).unwrap();
        if old.server_version >= 180_000 {
            transaction.batch_execute(of_18).unwrap();
        }
        let schema = refactor::schema::read::read(transaction).unwrap();
        let part = &table(&schema, "T").publications[1];
        assert_eq!(part.fields.as_ref().map(Vec::len), Some(2));
        assert_eq!(part.filter.as_deref(), Some("(b > 'x'::text)"));
        if old.server_version >= 180_000 {
            let generated = table(&schema, "parent2").fields[2].generated.clone().unwrap();
            assert!(!generated.stored);
            assert_eq!(generated.fields, idents(&["id", "extra"]));
            let parent1 = table(&schema, "parent1");
            assert!(!parent1.fields[1].not_null);
            assert_eq!(parent1.constraints.len(), 1);
            assert_eq!(table(&schema, "rooms").constraints[0].fields, idents(&["id", "at"]));
        }
    });
}
