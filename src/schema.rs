//! The model of a database's structure: plain data, no connection.
//!
//! Every definition is text as PostgreSQL prints it with an empty `search_path`, hence fully qualified. Names of
//! fields inside definitions are also given as lists, so that the rest of the program need not parse them.

pub mod distinct;
pub mod element;
pub mod kind;
pub mod read;

use std::collections::{BTreeMap, BTreeSet};

use crate::name::{Ident, TableName, listed};
use crate::sql::Literal;

/// Everything the tool knows of one database.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schema {
    /// The server's version as `server_version_num` gives it, such as 150018.
    pub server_version: u32,
    /// The base tables (plain, partitioned, partitions, foreign) of the user's schemas, by name.
    pub tables: BTreeMap<TableName, Table>,
    /// The tables that an earlier refactoring dropped and we keep: their fields, owners and privileges.
    pub kept: BTreeMap<TableName, Table>,
    /// Views and materialized views of the user's schemas.
    pub views: Vec<View>,
    /// Functions and procedures of the user's schemas, with their text.
    pub functions: Vec<Function>,
    /// Every other name of the user's schemas that a table could clash with (sequences, indexes, types, views …).
    pub other_names: BTreeMap<TableName, &'static str>,
    /// Domains that say more of a field than its type, by name as `format_type` gives it.
    pub domains: BTreeMap<String, Domain>,
    /// Enums, by name.
    pub enums: BTreeMap<TableName, Enum>,
    /// What is known of the values of types.
    pub kinds: kind::Kinds,
    /// The sequences that fields own, by name.
    pub sequences: BTreeMap<TableName, Sequence>,
    /// Schemas that exist, with their owners.
    pub schemas: BTreeMap<Ident, Ident>,
    /// Roles to which `ALTER DEFAULT PRIVILEGES` gives something on whatever somebody creates, as SQL names them.
    pub by_default: BTreeSet<String>,
    /// Who is connected: the owner of what is created.
    pub user: Option<Ident>,
    /// The schemas of the current `search_path`, in its order: where an unqualified name is looked up.
    pub search_path: Vec<Ident>,
    /// Those of them where somebody has made functions or operators that would be taken for PostgreSQL's own.
    pub with_look_alikes: BTreeSet<Ident>,
    /// Whose operators compare the values of fields.
    pub equalities: Equalities,
}

/// An enum: a type whose values are labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Enum {
    /// Its labels, in their order.
    pub labels: Vec<String>,
    /// Its owner, as SQL.
    pub owner: String,
    /// The comment.
    pub comment: Option<String>,
    /// What is of it, or of its array, besides fields of tables, as PostgreSQL describes it.
    pub held_by: Vec<String>,
}

/// What a domain says of the fields that are of it, as if it were said of each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Domain {
    /// `NOT NULL`
    pub not_null: bool,
    /// `DEFAULT`
    pub default: Option<String>,
}

impl Schema {
    /// The schemas where what a person wrote may be looked up: those of the path in which nobody lies in wait.
    #[must_use]
    pub fn code_path(&self) -> Vec<Ident> {
        self.search_path.iter().filter(|schema| !self.with_look_alikes.contains(*schema)).cloned().collect()
    }

    /// The domain that a type is, as somebody typed it.
    #[must_use]
    pub fn domain(&self, type_name: &str) -> Option<&Domain> {
        let qualified = self.search_path.iter().map(|schema| format!("{schema}.{type_name}"));
        std::iter::once(type_name.to_owned()).chain(qualified).find_map(|name| self.domains.get(&name))
    }
}

/// Whose operators compare the values of fields, by the fields' names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Equalities {
    /// Types of extensions have operators of their own: the schemas that these are in.
    pub foreign: BTreeMap<Ident, BTreeSet<Ident>>,
    /// All other types have PostgreSQL's, or none.
    pub own: BTreeSet<Ident>,
}

impl Equalities {
    /// The operator that compares fields of these names where nobody else's may be called instead. Where one name stands for
    /// types of both kinds, only the server can tell.
    #[must_use]
    pub fn operator(&self, fields: &[&str]) -> String {
        let fields: Vec<Ident> = fields.iter().map(|field| Ident::new(*field)).collect();
        // Keys of complements are as what they are compared with.
        let fields = fields.iter().filter(|f| !f.as_str().starts_with("refactor_key_"));
        let whose = fields.map(|f| (self.foreign.get(f), self.own.contains(f)));
        let whose: Vec<(Option<&BTreeSet<Ident>>, bool)> = whose.collect();
        let foreign: BTreeSet<&Ident> = whose.iter().filter_map(|(schemas, _)| *schemas).flatten().collect();
        if self.foreign.is_empty() || whose.iter().any(|(schemas, own)| *own && schemas.is_none()) && foreign.is_empty()
        {
            return "OPERATOR(pg_catalog.=)".to_owned();
        }
        match foreign.first() {
            Some(schema) if foreign.len() == 1 && whose.iter().all(|(schemas, own)| schemas.is_some() && !own) => {
                format!("OPERATOR({schema}.=)")
            }
            _ => "=".to_owned(),
        }
    }
}

/// What sort of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TableKind {
    /// An ordinary table.
    #[default]
    Plain,
    /// The parent of partitions.
    Partitioned,
    /// A foreign table.
    Foreign,
}

/// A function, a view's column or a table's field that uses the type of a table's rows.
#[derive(Debug, Clone, PartialEq)]
pub struct RowTypeUser {
    /// How `pg_describe_object` names it.
    pub description: String,
    /// Whether rows store values of the type.
    pub is_field: bool,
}

/// A base table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Plain, partitioned or foreign. A partition is `Plain` (or `Partitioned`) with a `partition_of`.
    pub kind: TableKind,
    /// The parent, when this is a partition.
    pub partition_of: Option<TableName>,
    /// `RANGE (created_at)` for a partitioned table, as `pg_get_partkeydef` gives it.
    pub partition_key: Option<String>,
    /// Fields that the partition key mentions.
    pub partition_fields: Vec<Ident>,
    /// Plain inheritance: parents in order (no partitions).
    pub inherits: Vec<TableName>,
    /// Plain inheritance or partitioning: direct children.
    pub children: Vec<TableName>,
    /// Role that owns it.
    pub owner: Option<Ident>,
    /// `UNLOGGED` (never temporary tables: they are not read).
    pub unlogged: bool,
    /// The type that a typed table (`CREATE TABLE … OF`) has its fields from.
    pub of_type: Option<String>,
    /// The access method when it is not `heap`.
    pub access_method: Option<Ident>,
    /// The tablespace when it is not the database's.
    pub tablespace: Option<Ident>,
    /// Storage options such as `fillfactor=70`, those of the TOAST table with `toast.` in front.
    pub options: Vec<String>,
    /// Fields in their order; dropped ones are left out.
    pub fields: Vec<Field>,
    /// Keys, unique, check, exclusion and foreign key constraints, by name (not the NOT NULL constraints of 18).
    pub constraints: Vec<Constraint>,
    /// Indexes, those of constraints included.
    pub indexes: Vec<Index>,
    /// The user's triggers (not internal ones, not our own).
    pub triggers: Vec<Trigger>,
    /// Rewrite rules.
    pub rules: Vec<Rule>,
    /// Row policies.
    pub policies: Vec<Policy>,
    /// `ENABLE ROW LEVEL SECURITY`.
    pub row_security: bool,
    /// `FORCE ROW LEVEL SECURITY`.
    pub force_row_security: bool,
    /// Privileges on the table; `None` when none were ever granted (`relacl` null).
    pub grants: Option<Vec<Grant>>,
    /// How rows are identified to subscribers.
    pub replica_identity: ReplicaIdentity,
    /// Publications that name the table.
    pub publications: Vec<Publication>,
    /// Extended statistics objects.
    pub statistics: Vec<Statistics>,
    /// The comment.
    pub comment: Option<String>,
    /// Planner's estimate of the number of rows (partitions added up); -1 when never analyzed.
    pub rows: f64,
    /// Bytes of the table, its TOAST and its indexes (partitions added up).
    pub bytes: i64,
    /// Whether the table is a member of an extension.
    pub extension: Option<Ident>,
    /// Whether Citus keeps its rows on other servers.
    pub distributed: bool,
    /// Whether a subscription writes to it.
    pub is_subscribed: bool,
    /// What uses the table's row type.
    pub row_type_users: Vec<RowTypeUser>,
    /// What hangs on this very table and nothing else here tells of, in words: views and functions that read it,
    /// security labels, an index in a tablespace of its own …
    pub held_by: Vec<String>,
    /// Foreign keys of our own complement tables that refer to it.
    pub followers: Vec<(TableName, Constraint)>,
    /// Names of its NOT NULL constraints, by field (PostgreSQL 18).
    pub not_null_names: BTreeMap<Ident, Ident>,
}

/// A field of a base table.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The name.
    pub name: Ident,
    /// `attnum`.
    pub number: i16,
    /// The type with its modifier, as `format_type` gives it: `character varying(40)`.
    pub type_name: String,
    /// The collation, qualified, when it is not the type's own.
    pub collation: Option<String>,
    /// `NOT NULL`.
    pub not_null: bool,
    /// The default (not of generated fields).
    pub default: Option<String>,
    /// `GENERATED … AS IDENTITY`.
    pub identity: Option<Identity>,
    /// The expression of a generated field, and whether it is stored.
    pub generated: Option<Generated>,
    /// The sequence that the field owns (serial or identity).
    pub sequence: Option<TableName>,
    /// `PLAIN`, `EXTERNAL`, `EXTENDED` or `MAIN` where it differs from the type's.
    pub storage: Option<&'static str>,
    /// `pglz` or `lz4` where set.
    pub compression: Option<&'static str>,
    /// The statistics target where set.
    pub statistics: Option<i32>,
    /// Attribute options such as `n_distinct=5`.
    pub options: Vec<String>,
    /// The comment.
    pub comment: Option<String>,
    /// Privileges on this field alone.
    pub grants: Vec<Grant>,
    /// `attislocal`: false for a field inherited from a parent.
    pub local: bool,
}

/// Identity of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// `GENERATED ALWAYS`
    Always,
    /// `GENERATED BY DEFAULT`
    ByDefault,
}

/// A sequence that a field owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// `AS integer INCREMENT BY 1 …`: all its options, as CREATE SEQUENCE takes them.
    pub options: String,
    /// The comment.
    pub comment: Option<String>,
    /// Privileges; `None` when none were ever granted.
    pub grants: Option<Vec<Grant>>,
}

/// A generated field's expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The expression.
    pub expression: String,
    /// Stored (as against virtual, PostgreSQL 18).
    pub stored: bool,
    /// Fields that the expression reads.
    pub fields: Vec<Ident>,
}

/// What a constraint demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConstraintKind {
    /// `PRIMARY KEY`
    Primary,
    /// `UNIQUE`
    Unique,
    /// `CHECK`
    Check,
    /// `EXCLUDE`
    Exclude,
    /// `FOREIGN KEY`
    Foreign(ForeignKey),
    /// `NOT NULL` that a refactoring demands. Those of the tables stand with their fields.
    NotNull,
}

/// The far side of a foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// The table referred to.
    pub table: TableName,
    /// Its fields, in the order of the constraint's own.
    pub fields: Vec<Ident>,
    /// `confupdtype`: `a` no action, `r` restrict, `c` cascade, `n` set null, `d` set default.
    pub on_update: char,
    /// `confdeltype`, the same letters.
    pub on_delete: char,
    /// `MATCH FULL`
    pub match_full: bool,
}

/// A constraint of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// The name.
    pub name: Ident,
    /// The kind, with the far side of a foreign key.
    pub kind: ConstraintKind,
    /// Fields it names (`conkey` order).
    pub fields: Vec<Ident>,
    /// `pg_get_constraintdef`.
    pub definition: String,
    /// `DEFERRABLE`
    pub deferrable: bool,
    /// `INITIALLY DEFERRED`
    pub deferred: bool,
    /// `convalidated`
    pub validated: bool,
    /// Not local: comes from a parent table or a partitioned parent's constraint.
    pub inherited: bool,
    /// The comment.
    pub comment: Option<String>,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The name.
    pub name: Ident,
    /// Unique.
    pub unique: bool,
    /// Checked at once (not DEFERRABLE).
    pub immediate: bool,
    /// Usable.
    pub valid: bool,
    /// Has a WHERE clause.
    pub partial: bool,
    /// Key members: a field, or `None` for an expression.
    pub keys: Vec<Option<Ident>>,
    /// Every field it mentions: keys, INCLUDE, expressions, predicate.
    pub fields: Vec<Ident>,
    /// The access method, such as `btree`.
    pub method: Ident,
    /// `pg_get_indexdef`.
    pub definition: String,
    /// The constraint it serves, if any.
    pub constraint: Option<Ident>,
    /// `CLUSTER … USING` this one.
    pub clustered: bool,
    /// The index is a partition of a parent's index.
    pub inherited: bool,
    /// The comment.
    pub comment: Option<String>,
    /// Statistics targets of expression members: (member number, target).
    pub statistics: Vec<(i16, i32)>,
}

impl Index {
    /// The fields that no two rows share, if it says so of all rows, at once, and of fields alone.
    #[must_use]
    pub fn key(&self) -> Option<Vec<Ident>> {
        let is_whole = self.unique && self.immediate && self.valid && !self.partial;
        self.keys.iter().cloned().collect::<Option<_>>().filter(|_| is_whole)
    }

    /// A unique one over fields of a table.
    #[must_use]
    pub fn unique(name: &Ident, table: &TableName, fields: &[Ident]) -> Self {
        Self {
            name: name.clone(),
            unique: true,
            immediate: true,
            valid: true,
            partial: false,
            keys: fields.iter().cloned().map(Some).collect(),
            fields: fields.to_vec(),
            method: Ident::new("btree"),
            definition: format!("CREATE UNIQUE INDEX {name} ON {table} USING btree ({})", listed(fields)),
            constraint: None,
            clustered: false,
            inherited: false,
            comment: None,
            statistics: Vec::new(),
        }
    }
}

/// A user's trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The name.
    pub name: Ident,
    /// `pg_get_triggerdef`.
    pub definition: String,
    /// Fields it names in `UPDATE OF` or `WHEN`.
    pub fields: Vec<Ident>,
    /// `tgenabled`: `O` origin, `D` disabled, `R` replica, `A` always.
    pub enabled: char,
    /// Cloned from a partitioned parent's trigger.
    pub inherited: bool,
    /// The comment.
    pub comment: Option<String>,
    /// The trigger's function, qualified and with its argument types.
    pub function: String,
}

/// A rewrite rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The name.
    pub name: Ident,
    /// `pg_get_ruledef`.
    pub definition: String,
    /// Fields of its own table that it names.
    pub fields: Vec<Ident>,
    /// `ev_enabled`.
    pub enabled: char,
    /// The comment.
    pub comment: Option<String>,
}

/// A row policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The name.
    pub name: Ident,
    /// `CREATE POLICY … ON …` put together from the catalogue.
    pub definition: String,
    /// Whether it lets rows through; else it holds rows back that others let through.
    pub permissive: bool,
    /// `polcmd`: `*` for all.
    pub command: char,
    /// Whom it is for; everybody, if nobody is named.
    pub roles: Vec<Ident>,
    /// USING.
    pub visible: Option<String>,
    /// WITH CHECK.
    pub writable: Option<String>,
    /// Fields it names.
    pub fields: Vec<Ident>,
    /// The comment.
    pub comment: Option<String>,
}

/// One privilege.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// The role; `None` is PUBLIC.
    pub role: Option<Ident>,
    /// `SELECT`, `INSERT` …
    pub privilege: String,
    /// WITH GRANT OPTION.
    pub grantable: bool,
}

impl Grant {
    /// Who got it, as SQL.
    #[must_use]
    pub fn grantee(&self) -> String {
        grantee(self.role.as_ref())
    }
}

/// A role that something is granted to, as SQL; none is PUBLIC.
#[must_use]
pub fn grantee(role: Option<&Ident>) -> String {
    role.map_or_else(|| "PUBLIC".to_owned(), ToString::to_string)
}

/// `REPLICA IDENTITY`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ReplicaIdentity {
    /// The primary key.
    #[default]
    Default,
    /// Nothing.
    Nothing,
    /// The whole row.
    Full,
    /// A chosen index.
    Index(Ident),
}

/// A publication that names the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The publication.
    pub name: Ident,
    /// The field list, if there is one.
    pub fields: Option<Vec<Ident>>,
    /// The row filter, if there is one.
    pub filter: Option<String>,
}

/// An extended statistics object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// The name.
    pub name: TableName,
    /// `pg_get_statisticsobjdef`.
    pub definition: String,
    /// Fields it names.
    pub fields: Vec<Ident>,
    /// The statistics target where set.
    pub target: Option<i32>,
    /// The comment.
    pub comment: Option<String>,
}

/// A view or materialized view of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The name.
    pub name: TableName,
    /// A materialized view.
    pub materialized: bool,
    /// The fields of base tables (and other views) it reads, as `pg_depend` knows them.
    pub reads: Vec<(TableName, Ident)>,
    /// Relations it reads (also when no single field is named).
    pub relations: Vec<TableName>,
}

/// A function or procedure of the user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The name with argument types, qualified: `public.f(integer)`.
    pub signature: String,
    /// Its text (`prosrc`, or the deparsed body of a `BEGIN ATOMIC` function).
    pub text: String,
    /// Whether it has a `search_path` of its own.
    pub has_path: bool,
    /// The fields that `pg_depend` knows it reads (`BEGIN ATOMIC` functions).
    pub reads: Vec<(TableName, Ident)>,
    /// Relations it reads (also when no single field is named).
    pub relations: Vec<TableName>,
}

impl Schema {
    /// Finds a table.
    #[must_use]
    pub fn table(&self, name: &TableName) -> Option<&Table> {
        self.tables.get(name)
    }
}

impl ForeignKey {
    /// `FOREIGN KEY (…) REFERENCES …` for a constraint of this kind that refers to these fields of `table`.
    #[must_use]
    pub fn definition(&self, constraint: &Constraint, table: &TableName, fields: &[Ident]) -> String {
        let action = |letter: char| match letter {
            'r' => "RESTRICT",
            'c' => "CASCADE",
            'n' => "SET NULL",
            'd' => "SET DEFAULT",
            _ => "NO ACTION",
        };
        let mut text = format!("FOREIGN KEY ({}) REFERENCES {table} ({})", listed(&constraint.fields), listed(fields));
        if self.match_full {
            text += " MATCH FULL";
        }
        if self.on_update != 'a' {
            text += &format!(" ON UPDATE {}", action(self.on_update));
        }
        if self.on_delete != 'a' {
            text += &format!(" ON DELETE {}", action(self.on_delete));
        }
        if constraint.deferrable {
            text += " DEFERRABLE";
        }
        if constraint.deferred {
            text += " INITIALLY DEFERRED";
        }
        if !constraint.validated {
            text += " NOT VALID";
        }
        text
    }

    /// The same as PostgreSQL prints it.
    #[must_use]
    pub fn printed(&self, constraint: &Constraint) -> String {
        let definition = self.definition(constraint, &self.table, &self.fields);
        definition.replacen(&format!(" REFERENCES {} (", self.table), &format!(" REFERENCES {}(", self.table), 1)
    }
}

impl Constraint {
    /// A plain constraint.
    #[must_use]
    pub fn named(name: Ident, kind: ConstraintKind, fields: Vec<Ident>, definition: String) -> Self {
        Self {
            name,
            kind,
            fields,
            definition,
            deferrable: false,
            deferred: false,
            validated: true,
            inherited: false,
            comment: None,
        }
    }
}

impl Field {
    /// Whether a default or an identity gives it a value in a row that says none.
    #[must_use]
    pub fn fills_itself(&self) -> bool {
        self.default.is_some() || self.identity.is_some()
    }

    /// Whether its default names a sequence.
    #[must_use]
    pub fn draws_from(&self, sequence: &TableName) -> bool {
        // A person may have left the schema out.
        let names = [sequence.to_string(), sequence.name.to_string()].map(|name| Literal(name).to_string());
        self.default.as_ref().is_some_and(|default| names.iter().any(|name| default.contains(name)))
    }

    /// ` COLLATE …`, if it is not the type's own.
    #[must_use]
    pub fn collate(&self) -> String {
        self.collation.as_ref().map(|c| format!(" COLLATE {c}")).unwrap_or_default()
    }

    /// Whether no row can be made without a value for it.
    #[must_use]
    pub fn must_be_given(&self) -> bool {
        self.not_null && !self.fills_itself() && self.generated.is_none()
    }

    /// As CREATE TABLE says it, with the name of its sequence if it is numbered by one.
    #[must_use]
    pub fn definition(&self) -> String {
        self.numbered("")
    }

    /// The same, where its sequence has options.
    #[must_use]
    pub fn numbered(&self, options: &str) -> String {
        let collation = self.collate();
        let not_null = if self.not_null { " NOT NULL" } else { "" };
        let default = self.default.as_ref().map(|d| format!(" DEFAULT {d}")).unwrap_or_default();
        let sequence = self.sequence.as_ref().map(|s| format!(" (SEQUENCE NAME {s}{options})")).unwrap_or_default();
        let numbered = match self.identity {
            Some(Identity::Always) => format!(" GENERATED ALWAYS AS IDENTITY{sequence}"),
            Some(Identity::ByDefault) => format!(" GENERATED BY DEFAULT AS IDENTITY{sequence}"),
            None => String::new(),
        };
        let generated = self.generated.as_ref().map(|g| {
            format!(" GENERATED ALWAYS AS ({}) {}", g.expression, if g.stored { "STORED" } else { "VIRTUAL" })
        });
        format!(
            "{} {}{collation}{default}{numbered}{}{not_null}",
            self.name,
            self.type_name,
            generated.unwrap_or_default()
        )
    }

    /// A field with nothing but a name.
    #[must_use]
    pub fn named(name: Ident) -> Self {
        Self {
            name,
            number: 0,
            type_name: String::new(),
            collation: None,
            not_null: false,
            default: None,
            identity: None,
            generated: None,
            sequence: None,
            storage: None,
            compression: None,
            statistics: None,
            options: Vec::new(),
            comment: None,
            grants: Vec::new(),
            local: true,
        }
    }
}
