//! Who may do what through the new shape: as much as with the tables, and nothing more by what is ours.

use std::collections::BTreeSet;

use crate::generate::carry::{is_write, one_owner, owner};
use crate::generate::{Class, Piece, list};
use crate::name::{BODY, Ident, TableName};
use crate::refusal::Refusal;
use crate::relation::{Relation, Rows};
use crate::schema::{Grant, Policy, Schema, Table, grantee};
use crate::sql::Literal;
use crate::version::{Lookup, Missing, Version};

fn granted<'v>(version: &'v Version, table: &TableName) -> impl Iterator<Item = &'v Grant> {
    version.schema.tables.get(table).into_iter().flat_map(|t| t.grants.iter().flatten())
}

fn has(version: &Version, table: &TableName, role: Option<&Ident>, privilege: &str) -> bool {
    let owns = |t: &Table| role.is_some() && t.owner.as_ref() == role;
    version.schema.tables.get(table).is_some_and(owns)
        || granted(version, table).any(|g| g.privilege == privilege && (g.role.as_ref() == role || g.role.is_none()))
}

/// What a role must have on a whole table to be let at a function that acts as the tables' owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: nobody but its owner calls it.
    Owner,
    /// It tells of a row that is about to be written no more than the write itself would: any privilege to write.
    Write,
    /// It reads and writes what a row shows.
    All,
}

impl Needs {
    fn are_met(self, version: &Version, table: &TableName, role: Option<&Ident>) -> bool {
        let all = |privileges: &[&str]| privileges.iter().all(|p| has(version, table, role, p));
        match self {
            Self::Owner => false,
            Self::Write => ["INSERT", "UPDATE", "DELETE"].iter().any(|p| has(version, table, role, p)),
            Self::All => all(&["SELECT", "UPDATE"]),
        }
    }

    /// Who has it.
    #[must_use]
    pub fn roles(self, version: &Version, table: &TableName) -> BTreeSet<String> {
        let roles: BTreeSet<Option<&Ident>> = granted(version, table).map(|g| g.role.as_ref()).collect();
        let mut roles: BTreeSet<String> =
            roles.into_iter().filter(|r| self.are_met(version, table, *r)).map(grantee).collect();
        if self != Self::Owner {
            roles.insert(owner(version, table).to_string());
        }
        roles
    }
}

/// Whether everybody who may write to a table may read all of it, too.
#[must_use]
pub fn writers_read(version: &Version, table: &TableName) -> bool {
    let roles: BTreeSet<Option<&Ident>> = granted(version, table).map(|g| g.role.as_ref()).collect();
    let reads = |role| !Needs::Write.are_met(version, table, role) || has(version, table, role, "SELECT");
    version.schema.tables.get(table).is_some_and(|t| !t.row_security) && roles.into_iter().all(reads)
}

/// What the finder of a lookup needs. It gives a whole row of the other table.
#[must_use]
pub fn of_finder(lookup: &Lookup) -> Needs {
    if matches!(lookup.missing, Missing::Refuse(_)) { Needs::Write } else { Needs::All }
}

/// Who may call the finder of a lookup.
#[must_use]
pub fn finders(version: &Version, lookup: &Lookup) -> BTreeSet<String> {
    let reads: BTreeSet<String> = granted(version, &lookup.other)
        .chain(granted(version, &lookup.table))
        .map(|g| g.role.as_ref())
        .filter(|r| has(version, &lookup.other, *r, "SELECT"))
        .map(grantee)
        .collect();
    let mut roles = of_finder(lookup).roles(version, &lookup.table);
    roles.retain(|r| reads.contains(r) || *r == owner(version, &lookup.table).to_string());
    roles
}

/// Whether the views act with their owner's rights rather than the caller's. Privileges on single fields need it: a view
/// reads all of its fields, whichever a statement names. So do those who may write, but not all that the functions do
/// which a put-back calls. With row policies the caller's rights must decide, and with tables of several owners nobody
/// else's could.
#[must_use]
pub fn is_owned(version: &Version, relation: &Relation) -> bool {
    let base = &relation.base;
    let carries = version.carries.iter().filter(|c| c.target == *base || c.source == *base);
    let mut tables: Vec<&TableName> = carries.flat_map(|c| c.hops.iter().flat_map(|h| [&h.from, &h.to])).collect();
    tables.push(base);
    let lookups = || version.lookups.iter().filter(|l| l.table == *base);
    tables.extend(lookups().map(|l| &l.other));
    tables.extend(version.added.iter().filter(|a| a.table == *base).filter_map(|a| Some(&a.copied.as_ref()?.hop.to)));
    if let Rows::United(at) = relation.rows {
        tables.extend(version.unions[at].branches.iter().map(|b| &b.table));
    }
    let owner = Some(owner(version, base));
    let in_part = |role: Option<&Ident>| {
        !Needs::All.are_met(version, base, role) || lookups().any(|l| !has(version, &l.other, role, "SELECT"))
    };
    let in_part =
        || granted(version, base).filter(|g| g.role != owner && is_write(g)).any(|g| in_part(g.role.as_ref()));
    let secured = || tables.iter().any(|t| version.schema.tables.get(*t).is_none_or(|t| t.row_security));
    (by_field(version, relation) || Class::of(version, relation) == Class::H && in_part())
        && one_owner(version, &tables).is_some()
        && (!secured() || policies(version, relation).is_some())
}

fn by_field(version: &Version, relation: &Relation) -> bool {
    let owner = Some(owner(version, &relation.base));
    relation.fields.iter().flat_map(|f| &f.shape.grants).any(|g| g.role != owner)
}

/// Whether a view cannot act with its caller's rights.
fn acts_as_owner(version: &Version, relation: &Relation) -> bool {
    version.schema.server_version < 150_000 || by_field(version, relation)
}

/// The row policies as a condition of a view, where it has to act with its owner's rights: for the sake of privileges on
/// single fields, and always before PostgreSQL 15. None where there is no need for it, or it would not be the same: policies
/// for one kind of statement, or that look into tables, as the caller sees them.
#[must_use]
pub fn policies(version: &Version, relation: &Relation) -> Option<String> {
    let table = version.table(relation);
    let looks = |p: &Policy| p.visible.as_ref().is_none_or(|v| v.to_lowercase().contains("select"));
    let simple = |p: &Policy| p.command == '*' && (p.writable.is_none() || p.writable == p.visible) && !looks(p);
    let as_view = Class::of(version, relation) == Class::U && relation.rows == Rows::Whole;
    if !table.row_security
        || table.force_row_security
        || !as_view
        || !acts_as_owner(version, relation)
        || !table.policies.iter().all(simple)
    {
        return None;
    }
    let holds = |p: &Policy| {
        let condition = format!("({})", p.visible.as_deref().unwrap_or("true"));
        let role =
            |r: &Ident| format!("pg_catalog.pg_has_role(CURRENT_USER, {}, 'USAGE')", Literal(r.as_str().to_owned()));
        let roles: Vec<String> = p.roles.iter().map(role).collect();
        (condition, roles.join(" OR "))
    };
    let (lets, holds_back): (Vec<&Policy>, Vec<&Policy>) = table.policies.iter().partition(|p| p.permissive);
    let lets = lets
        .into_iter()
        .map(holds)
        .map(|(condition, roles)| if roles.is_empty() { condition } else { format!("(({roles}) AND {condition})") });
    let holds_back = holds_back
        .into_iter()
        .map(holds)
        .map(|(condition, roles)| if roles.is_empty() { condition } else { format!("(NOT ({roles}) OR {condition})") });
    let lets: Vec<String> = lets.collect();
    let some = if lets.is_empty() { "false".to_owned() } else { format!("({})", lets.join(" OR ")) };
    let every: Vec<String> = std::iter::once(some).chain(holds_back).collect();
    let name = Literal(relation.base.to_string());
    Some(format!(
        "NOT pg_catalog.row_security_active({name}::pg_catalog.regclass::pg_catalog.oid) OR {}",
        every.join(" AND ")
    ))
}

/// Why row policies cannot hold for a view, if they cannot.
#[must_use]
pub fn cannot_hold(version: &Version, relation: &Relation) -> Option<Refusal> {
    let table = version.table(relation);
    if !table.row_security || !acts_as_owner(version, relation) || policies(version, relation).is_some() {
        return None;
    }
    if !by_field(version, relation) {
        return Some(Refusal::TableKind {
            table: relation.base.clone(),
            why: "has row policies, which do not hold for such a view before PostgreSQL 15: it would show everybody all rows"
                .into(),
            hint: Some(format!(
                "do it on PostgreSQL 15 or later; or, if everybody may see all rows: `ALTER TABLE {} DISABLE ROW LEVEL SECURITY`",
                relation.base
            )),
        });
    }
    Some(Refusal::TableKind {
        table: relation.base.clone(),
        why: "has row policies and privileges on single fields, and its view could keep only the ones or the others"
            .into(),
        hint: Some(format!(
            "grant the whole table to those roles, as in `GRANT SELECT ON {} TO …`, or give it no policies: `ALTER TABLE {} DISABLE ROW LEVEL SECURITY`",
            relation.base, relation.base
        )),
    })
}

/// A privilege on a view or a field of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The role; `None` is PUBLIC.
    pub role: Option<Ident>,
    /// `SELECT`, `INSERT` …
    pub privilege: String,
    /// The field, if it is on one alone.
    pub field: Option<Ident>,
    /// WITH GRANT OPTION.
    pub grantable: bool,
}

impl Right {
    fn of(grant: &Grant, field: Option<&Ident>) -> Self {
        let Grant { role, privilege, grantable } = grant.clone();
        Self { role, privilege, field: field.cloned(), grantable }
    }

    pub(super) fn on(&self, view: &TableName) -> String {
        let field = self.field.as_ref().map(|f| format!("({f})")).unwrap_or_default();
        let option = if self.grantable { " WITH GRANT OPTION" } else { "" };
        format!("GRANT {}{field} ON {view} TO {}{option}", self.privilege, grantee(self.role.as_ref()))
    }
}

/// The privileges of others than the owner on a relation's view: those on the table.
#[must_use]
pub fn wanted(version: &Version, relation: &Relation) -> BTreeSet<Right> {
    let owner = owner(version, &relation.base);
    let of_table = version.table(relation).grants.iter().flatten().map(|g| Right::of(g, None));
    let of_fields =
        relation.fields.iter().flat_map(|f| f.shape.grants.iter().map(|g| Right::of(g, Some(&f.shape.name))));
    let of_others = |r: &Right| r.role.as_ref() != Some(&owner) && r.privilege != "MAINTAIN";
    let mut all: BTreeSet<Right> = of_table.chain(of_fields).filter(of_others).collect();
    // Two grantors may have given the same with and without the option to pass it on.
    let more: BTreeSet<Right> = all.iter().filter(|r| r.grantable).cloned().collect();
    all.retain(|r| r.grantable || !more.contains(&Right { grantable: true, ..r.clone() }));
    all
}

/// Ownership and privileges as the table has them.
#[must_use]
pub fn of_views(version: &Version, relation: &Relation, inner: &TableName, outer: &TableName) -> Vec<String> {
    let owner = owner(version, &relation.base);
    // With the caller's rights it is the caller who reads the inner view.
    let views = if is_owned(version, relation) { &[outer][..] } else { &[inner, outer] };
    let given_over = [inner, outer].map(|view| format!("ALTER VIEW {view} OWNER TO {owner}"));
    let rights = wanted(version, relation);
    let granted = rights.iter().flat_map(|right| views.iter().map(|view| right.on(view)));
    let bare = [inner, outer].into_iter().filter_map(|view| bare(&version.schema, view));
    given_over.into_iter().chain(bare).chain(granted).collect()
}

/// Everybody who may use one of the tables of a version in any way: they may call what acts with the caller's own rights.
#[must_use]
pub fn users(version: &Version) -> BTreeSet<String> {
    let shown = version.touched().map(|r| &r.base);
    let hops = version.carries.iter().flat_map(|c| c.hops.iter().flat_map(|h| [&h.from, &h.to]));
    let looked_up = version.lookups.iter().flat_map(|l| [&l.table, &l.other]);
    let united = version.unions.iter().flat_map(|u| u.branches.iter().map(|b| &b.table));
    let gone = version.gone.keys();
    let tables: BTreeSet<&TableName> = shown.chain(hops).chain(looked_up).chain(united).chain(gone).collect();
    let mut users = BTreeSet::new();
    for (name, table) in tables.into_iter().filter_map(|name| Some((name, version.schema.tables.get(name)?))) {
        let of_fields = table.fields.iter().flat_map(|f| &f.grants);
        users.extend(table.grants.iter().flatten().chain(of_fields).map(Grant::grantee));
        users.insert(owner(version, name).to_string());
    }
    users
}

/// `GRANT EXECUTE`, if there is anybody to grant it to.
#[must_use]
pub fn execute<T: ToString>(functions: &[T], roles: &BTreeSet<String>) -> String {
    if functions.is_empty() || roles.is_empty() {
        return String::new();
    }
    format!("GRANT EXECUTE ON FUNCTION {} TO {};\n", list(functions), list(&roles.iter().collect::<Vec<_>>()))
}

/// Takes from PUBLIC what it gets by itself with every function. A trigger calls its own whoever writes; what acts as its
/// caller goes to `users`, since a put-back calls it for them.
#[must_use]
pub fn closed(mut piece: Piece, users: &BTreeSet<String>, by_default: &BTreeSet<String>) -> Piece {
    let mut called = Vec::new();
    for function in piece.functions() {
        let revoke = revoked(&function.name, by_default);
        if piece.sql.contains(&revoke) {
            continue;
        }
        piece.sql = format!("{}\n{revoke}", piece.sql.trim_end());
        if !function.is_trigger && !function.is_definer {
            called.push(function.name);
        }
    }
    piece.sql += &execute(&called, users);
    piece
}

/// The same for the functions of triggers alone. Those that they call in the caller's name tell only of their arguments,
/// and whoever writes to the tables calls them, however new he is.
#[must_use]
pub fn closed_triggers(mut piece: Piece, by_default: &BTreeSet<String>) -> Piece {
    for function in piece.functions().into_iter().filter(|f| f.is_trigger || f.is_definer) {
        piece.sql = format!("{}\n{}", piece.sql.trim_end(), revoked(&function.name, by_default));
    }
    piece
}

/// `REVOKE EXECUTE … FROM PUBLIC`, and from those who get something on whatever is created.
#[must_use]
pub fn revoked(function: &str, by_default: &BTreeSet<String>) -> String {
    let public = std::iter::once("PUBLIC").chain(by_default.iter().map(String::as_str).filter(|r| *r != "PUBLIC"));
    format!("REVOKE EXECUTE ON FUNCTION {function} FROM {};\n", list(&public.collect::<Vec<_>>()))
}

/// Takes from a table or view of ours what somebody gets on whatever is created.
#[must_use]
pub fn bare(schema: &Schema, table: &TableName) -> Option<String> {
    let roles: Vec<&String> = schema.by_default.iter().collect();
    (!roles.is_empty()).then(|| format!("REVOKE ALL ON {table} FROM {}", list(&roles)))
}

/// Takes from everybody but its owner what was granted on a table or sequence. `ALTER DEFAULT PRIVILEGES` meets new ones,
/// not those that take another's place.
#[must_use]
pub fn without_grants(kind: &str, name: &TableName) -> String {
    let text = Literal(name.to_string());
    format!(
        "DO {BODY}
DECLARE
  given record;
BEGIN
  FOR given IN
    SELECT DISTINCT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS role
    FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS g
    WHERE c.oid = {text}::regclass AND g.grantee <> c.relowner
  LOOP
    EXECUTE 'REVOKE ALL ON {kind} ' || {text} || ' FROM ' || given.role;
  END LOOP;
END
{BODY};"
    )
}
