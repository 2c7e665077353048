//! A table put together from the elements of CREATE TABLE, as the model has it.

use std::collections::BTreeSet;

use crate::name::{Ident, TableName, TableRef, listed};
use crate::refusal::{Refusal, similar};
use crate::schema::element::{Element, FieldElement, Meaning, Reference, Rule, RuleElement};
use crate::schema::{Constraint, ConstraintKind, Field, ForeignKey, Generated, Index, Sequence, Table};
use crate::sql::{ExpressionError, Literal};
use crate::version::Version;

/// A table being put together.
pub struct Draft<'a> {
    before: &'a Version,
    name: &'a TableName,
    physical: &'a TableName,
    taken: BTreeSet<Ident>,
    /// The table so far.
    pub table: Table,
    /// The sequences that number its fields.
    pub sequences: Vec<(TableName, Sequence)>,
}

impl<'a> Draft<'a> {
    /// An empty table of this name, which is physically called otherwise until it is materialized.
    #[must_use]
    pub fn new(before: &'a Version, name: &'a TableName, physical: &'a TableName) -> Self {
        let table = Table { owner: before.schema.user.clone(), ..Table::default() };
        Self { before, name, physical, taken: BTreeSet::new(), table, sequences: Vec::new() }
    }

    /// Adds all that is written: first the fields, then the rules, which may name any of them. `kept`: see
    /// [`Draft::field`].
    ///
    /// # Errors
    /// When an element cannot be read or added.
    pub fn fill(&mut self, elements: &[Element], kept: bool) -> Result<(), Refusal> {
        let unreadable = |e: ExpressionError| Refusal::Expression(e.to_string());
        let meanings = elements.iter().map(Element::read).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        let fields = meanings.iter().filter_map(|m| if let Meaning::Field(field) = m { Some(field) } else { None });
        fields.into_iter().try_for_each(|field| self.field(field, kept))?;
        for meaning in &meanings {
            match meaning {
                Meaning::Field(field) => field.rules.iter().try_for_each(|rule| self.rule(rule))?,
                Meaning::Rule(rule) => self.rule(rule)?,
            }
        }
        if let Some(table) = self.before.schema.kept.get(self.physical).filter(|_| kept) {
            self.belong_like(table);
        }
        Ok(())
    }

    /// The table, owned and granted like another.
    #[must_use]
    pub fn like(mut self, base: &Table) -> (Table, Vec<(TableName, Sequence)>) {
        self.table.grants.clone_from(&base.grants);
        self.table.owner.clone_from(&base.owner);
        (self.table, self.sequences)
    }

    /// Who owns a kept table and may use it goes on doing so.
    fn belong_like(&mut self, kept: &Table) {
        self.table.grants.clone_from(&kept.grants);
        self.table.owner.clone_from(&kept.owner);
        self.table.row_security = kept.row_security;
        for field in &mut self.table.fields {
            if let Some(there) = kept.fields.iter().find(|f| f.name == field.name) {
                field.grants.clone_from(&there.grants);
            }
        }
    }

    /// Adds a field. `kept`: it comes from a kept table, which has taken its sequences along.
    ///
    /// # Errors
    /// When its name is taken.
    pub fn field(&mut self, element: &FieldElement, kept: bool) -> Result<(), Refusal> {
        let name = element.name.clone();
        if self.table.fields.iter().any(|f| f.name == name) {
            return Err(Refusal::Taken {
                place: format!("table `{}`", self.name.short()),
                kind: "a field".into(),
                name,
                hint: "name each field once".into(),
            });
        }
        let is_key = |rule: &RuleElement| matches!(rule.rule, Rule::Primary(..));
        let mut field = Field {
            type_name: element.type_name.clone(),
            collation: element.collation.clone(),
            not_null: element.not_null || element.identity.is_some() || element.rules.iter().any(is_key),
            default: element.default.as_ref().map(ToString::to_string),
            identity: element.identity,
            generated: element.generated.as_ref().map(|(value, stored)| Generated {
                expression: value.to_string(),
                stored: *stored,
                fields: value.fields().into_iter().collect(),
            }),
            number: i16::try_from(self.table.fields.len() + 1).unwrap_or(i16::MAX),
            ..Field::named(name)
        };
        if field.identity.is_some() {
            self.number(&mut field, &element.numbers);
        } else if kept {
            self.renumber(&mut field);
        }
        self.table.fields.push(field);
        Ok(())
    }

    fn number(&mut self, field: &mut Field, options: &str) {
        let own = Ident::generated(&[self.name.name.as_str(), field.name.as_str(), "seq"]);
        let sequence = self.physical.renamed(own);
        field.sequence = Some(sequence.clone());
        self.sequences.push((sequence, Sequence { options: options.to_owned(), comment: None, grants: None }));
    }

    /// A kept table has taken its sequence along to our schema.
    fn renumber(&self, field: &mut Field) {
        let Some(default) = &field.default else { return };
        let drawn = default.strip_prefix("nextval('").and_then(|t| t.rsplit_once("'::"));
        let Some((text, _)) = drawn.filter(|(_, kind)| kind.eq_ignore_ascii_case("regclass)")) else { return };
        let Ok(TableRef { name, .. }) = text.parse::<TableRef>() else { return };
        let sequence = self.physical.renamed(name);
        field.default = Some(format!("nextval({}::regclass)", Literal(sequence.to_string())));
    }

    /// Adds a rule, under the name that PostgreSQL would give it.
    ///
    /// # Errors
    /// When a field or a table that it names is not there.
    pub fn rule(&mut self, element: &RuleElement) -> Result<(), Refusal> {
        let fields: Vec<Ident> = match &element.rule {
            Rule::Primary(fields, _) | Rule::Unique(fields, ..) => fields.clone(),
            Rule::Check(condition, _) => condition.fields().into_iter().collect(),
            Rule::Foreign(reference) => reference.fields.clone(),
        };
        let unknown = |f: &&Ident| !self.table.fields.iter().any(|k| k.name == **f);
        let more = match &element.rule {
            Rule::Primary(_, more) | Rule::Unique(_, more, _) => more.clone(),
            Rule::Check(..) | Rule::Foreign(_) => Vec::new(),
        };
        if let Some(unknown) = fields.iter().chain(&more).find(unknown) {
            let names = self.table.fields.iter().map(|f| f.name.as_str());
            return Err(Refusal::NoField {
                table: self.name.clone(),
                field: unknown.clone(),
                similar: similar(unknown.as_str(), names),
            });
        }
        let joined = fields.iter().map(Ident::as_str).collect::<Vec<_>>().join("_");
        let table = self.name.name.as_str();
        let name = |parts: &[&str]| element.name.clone().unwrap_or_else(|| self.free(parts));
        let listed = listed(&fields);
        // PostgreSQL names a key by all that its index has.
        let joined_all = fields.iter().chain(&more).map(Ident::as_str).collect::<Vec<_>>().join("_");
        let include =
            if more.is_empty() { String::new() } else { format!(" INCLUDE ({})", crate::name::listed(&more)) };
        let late = element.late;
        let when = match (late.deferrable, late.deferred) {
            (_, true) => " DEFERRABLE INITIALLY DEFERRED",
            (true, false) => " DEFERRABLE",
            (false, false) => "",
        };
        let (name, kind, definition) = match &element.rule {
            Rule::Primary(..) => {
                let definition = format!("PRIMARY KEY ({listed}){include}{when}");
                (name(&[table, "pkey"]), ConstraintKind::Primary, definition)
            }
            Rule::Unique(_, _, distinct) => {
                let nulls = if *distinct { "" } else { " NULLS NOT DISTINCT" };
                let definition = format!("UNIQUE{nulls} ({listed}){include}{when}");
                (name(&[table, &joined_all, "key"]), ConstraintKind::Unique, definition)
            }
            Rule::Check(condition, alone) => {
                let parts: &[&str] = if fields.len() == 1 { &[table, &joined, "check"] } else { &[table, "check"] };
                let alone = if *alone { " NO INHERIT" } else { "" };
                (name(parts), ConstraintKind::Check, format!("CHECK ({condition}){alone}"))
            }
            Rule::Foreign(reference) => {
                let key = self.foreign(reference)?;
                (name(&[table, &joined, "fkey"]), ConstraintKind::Foreign(key), String::new())
            }
        };
        self.taken.insert(name.clone());
        let mut constraint = Constraint {
            name: name.clone(),
            fields: fields.clone(),
            definition,
            deferrable: late.deferrable,
            deferred: late.deferred,
            validated: true,
            inherited: false,
            comment: None,
            kind,
        };
        match &constraint.kind {
            ConstraintKind::Foreign(key) => {
                constraint.definition = key.definition(&constraint, &key.table, &key.fields);
            }
            ConstraintKind::Primary | ConstraintKind::Unique => {
                if constraint.kind == ConstraintKind::Primary {
                    let keys = self.table.fields.iter_mut().filter(|f| fields.contains(&f.name));
                    keys.for_each(|f| f.not_null = true);
                }
                let index = Index::unique(&name, self.physical, &fields);
                let all = fields.iter().chain(&more).cloned().collect();
                let definition = format!("{}{include}", index.definition);
                let immediate = !late.deferrable;
                self.table.indexes.push(Index { constraint: Some(name), fields: all, definition, immediate, ..index });
            }
            _ => {}
        }
        self.table.constraints.push(constraint);
        Ok(())
    }

    /// A name that no constraint of the table has yet.
    fn free(&self, parts: &[&str]) -> Ident {
        let first = Ident::generated(parts);
        let more = (1..).map(|n| Ident::generated(&[&parts.join("_"), &n.to_string()]));
        std::iter::once(first).chain(more).find(|n| !self.taken.contains(n)).unwrap_or_else(|| Ident::new(""))
    }

    /// Looks the far side of a foreign key up. Its fields must be real: the key is.
    fn foreign(&self, reference: &Reference) -> Result<ForeignKey, Refusal> {
        let (table, fields) = self.referred(reference)?;
        if fields.len() != reference.fields.len() {
            return Err(Refusal::Other {
                why: format!(
                    "the foreign key has {} fields, and what it refers to has {}",
                    reference.fields.len(),
                    fields.len()
                ),
                hint: Some("name as many fields on both sides".into()),
            });
        }
        Ok(ForeignKey {
            table,
            fields,
            on_update: reference.on_update,
            on_delete: reference.on_delete,
            match_full: reference.match_full,
        })
    }

    fn referred(&self, reference: &Reference) -> Result<(TableName, Vec<Ident>), Refusal> {
        let itself = reference.table.name == self.name.name
            && reference.table.schema.as_ref().is_none_or(|s| *s == self.name.schema);
        let primary = |fields: Option<&Vec<Ident>>, name: &TableName| {
            fields.cloned().ok_or_else(|| Refusal::NoKey { table: name.clone() })
        };
        if itself {
            let key = self.table.constraints.iter().find(|c| c.kind == ConstraintKind::Primary).map(|c| &c.fields);
            let given = Some(&reference.referred).filter(|r| !r.is_empty());
            return Ok((self.physical.clone(), primary(given.or(key), self.name)?));
        }
        let far = self.before.find_plain(&reference.table)?;
        let key = far.constraints.iter().find(|c| c.item.kind == ConstraintKind::Primary).map(|c| &c.item.fields);
        let given = Some(&reference.referred).filter(|r| !r.is_empty());
        let fields = primary(given.or(key), &far.name)?;
        if !far.is_unique(&fields) {
            return Err(Refusal::Other {
                why: format!("no unique key of `{}` is on {}", far.name.short(), listed(&fields)),
                hint: Some("refer to its primary key or to a unique one".into()),
            });
        }
        Ok((far.base.clone(), self.before.stored(far, &fields)?))
    }
}
