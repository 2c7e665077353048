//! `extract-json`: what stands under a key of a JSON object becomes a field.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::catalogue::fold_json::FoldJson;
use crate::catalogue::reshape::{Reshape, Told};
use crate::catalogue::{Refactor, Refactoring, entangled};
use crate::name::{FieldRef, Ident, MAX_BYTES};
use crate::refusal::Refusal;
use crate::relation::Field;
use crate::schema;
use crate::sql::{Expression, Literal, TypeName};
use crate::version::Version;

/// Make a field of what stands under a key of JSON objects.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtractJson {
    /// Field with the objects, as in `events.payload`
    pub field: FieldRef,
    /// Key in them
    pub key: String,
    /// Type of the new field
    #[serde(rename = "type")]
    #[arg(value_name = "TYPE")]
    pub type_name: TypeName,
    /// Name of the new field [default: the key]
    #[arg(long = "as", value_name = "NAME", value_parser = str::parse::<Ident>)]
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub name: Option<Ident>,
    /// Keys that lead to the object which has it, from the outermost; once for each
    #[arg(long = "in", value_name = "KEY")]
    #[serde(default, rename = "in", skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<String>,
    /// Refuse rows that have no such value
    #[arg(long)]
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_null: bool,
    /// Default of the new field
    #[arg(long, value_name = "EXPRESSION")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Expression>,
    /// Refactoring whose kept originals come back
    #[arg(long, hide = true, value_name = "REFACTORING")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<String>,
    /// Field that it stands before, instead of last
    #[arg(long, hide = true, value_name = "FIELD", value_parser = str::parse::<Ident>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Ident>,
}

impl ExtractJson {
    fn name(&self) -> Ident {
        self.name.clone().unwrap_or_else(|| Ident::new(self.key.clone()))
    }
}

impl Refactor for ExtractJson {
    fn wish(&self) -> String {
        format!("extract `{}` from `{}`", self.key, self.field)
    }

    fn slug(&self) -> String {
        format!(
            "extract-{}-from-{}-in-{}",
            self.name().as_str(),
            self.field.field.as_str(),
            self.field.table.name.as_str()
        )
    }

    fn after(&self, step: &str, before: &Version) -> Result<Version, Refusal> {
        let (_, field) = before.find_field(&self.field)?;
        if !(1..=MAX_BYTES).contains(&self.name().as_str().len()) {
            return Err(Refusal::NeedsValue(
                format!("no field can be called as the key is, `{}`", self.key),
                "choose a name with `--as`".into(),
            ));
        }
        let (document, name) = (&field.shape.name, self.name());
        let place = Place::new(field, &self.within, &self.key)?;
        let type_name = self.type_name.to_string();
        let shape = schema::Field {
            type_name: type_name.clone(),
            not_null: self.not_null,
            default: self.default.as_ref().map(ToString::to_string),
            ..schema::Field::named(name.clone())
        };
        let rest = Told { shape: field.shape.clone(), by: place.without(document)? };
        let reshape = Reshape {
            restores: self.restores.clone(),
            stays: Some((0, 0)),
            before: self.before.clone(),
            ..Reshape::new(
                self.field.table.clone(),
                vec![document.clone()],
                vec![rest, Told { shape, by: place.value(document, &type_name)? }],
                vec![place.with(document, &name, &type_name)?],
            )
        };
        reshape.after(step, before)
    }

    fn inverse(&self, step: &str, before: &Version) -> Result<Refactoring, Refusal> {
        let (relation, field) = before.find_field(&self.field)?;
        let table = entangled::reference(&relation.name);
        Ok(Refactoring::FoldJson(FoldJson {
            field: FieldRef { table, field: self.name() },
            into: field.shape.name.clone(),
            key: Some(self.key.clone()),
            within: self.within.clone(),
            restores: Some(step.to_owned()),
        }))
    }
}

/// Where in the JSON of a field a value stands.
pub struct Place<'a> {
    json: bool,
    within: &'a [String],
    key: &'a str,
}

impl<'a> Place<'a> {
    /// The place under a key, in the JSON of this field.
    ///
    /// # Errors
    /// When the field has another type.
    pub fn new(field: &Field, within: &'a [String], key: &'a str) -> Result<Self, Refusal> {
        match &*field.shape.type_name {
            kind @ ("json" | "jsonb") => Ok(Self { json: kind == "json", within, key }),
            kind => Err(Refusal::Other {
                why: format!("`{}` is of type {kind}, not jsonb", field.shape.name),
                hint: Some("change its type first: `refactor change-type`".into()),
            }),
        }
    }

    /// The JSON of a field, as jsonb.
    fn binary(&self, document: &Ident) -> String {
        if self.json { format!("({document}::jsonb)") } else { document.to_string() }
    }

    /// What must be an object for the key to stand in it.
    fn object(&self, document: &Ident) -> String {
        let document = self.binary(document);
        if self.within.is_empty() { document } else { format!("({document} #> {})", path(self.within.iter())) }
    }

    fn whole(&self) -> String {
        path(self.within.iter().map(String::as_str).chain([self.key]))
    }

    /// The JSON of a field without the key.
    fn removed(&self, document: &Ident) -> String {
        let binary = self.binary(document);
        if self.within.is_empty() {
            format!("{binary} - {}::text", Literal(self.key.to_owned()))
        } else {
            format!("{binary} #- {}", self.whole())
        }
    }

    /// The document without the key. Where there is none, it stays as it is, to the last blank.
    ///
    /// # Errors
    /// When the grammar does not bear the key.
    pub fn without(&self, document: &Ident) -> Result<Expression, Refusal> {
        let (object, key) = (self.object(document), Literal(self.key.to_owned()));
        parse(&format!(
            "CASE WHEN jsonb_typeof({object}) = 'object' AND {object} -> {key} IS NOT NULL THEN {}{} ELSE {document} END",
            brackets(&self.removed(document)),
            self.cast()
        ))
    }

    /// The value, as one of this type. Neither where the key is absent nor where JSON's null stands is there any.
    ///
    /// # Errors
    /// When the grammar does not bear the key.
    pub fn value(&self, document: &Ident, type_name: &str) -> Result<Expression, Refusal> {
        let (object, key) = (self.object(document), Literal(self.key.to_owned()));
        let is_json = matches!(type_name.trim().to_lowercase().as_str(), "json" | "jsonb");
        let arrow = if is_json { "->" } else { "->>" };
        parse(&format!("CASE WHEN jsonb_typeof({object}) = 'object' THEN ({object} {arrow} {key})::{type_name} END"))
    }

    /// The document with the value of a field of this type under the key.
    ///
    /// # Errors
    /// When the grammar does not bear the key.
    pub fn with(&self, document: &Ident, value: &Ident, type_name: &str) -> Result<Expression, Refusal> {
        let (object, key) = (self.object(document), Literal(self.key.to_owned()));
        let (whole, json, cast) = (self.whole(), json_of(value, type_name), self.cast());
        let set = |document: &str| format!("jsonb_set({document}, {whole}, {json}){cast}");
        let nowhere = if self.within.is_empty() {
            format!("WHEN {document} IS NULL AND {value} IS NOT NULL THEN {} ", set("'{}'::jsonb"))
        } else {
            String::new()
        };
        parse(&format!(
            "CASE {nowhere}WHEN jsonb_typeof({object}) = 'object' AND {value} IS NOT NULL THEN {} WHEN jsonb_typeof({object}) = 'object' AND {object} -> {key} IS NOT NULL THEN {}{cast} ELSE {document} END",
            set(&self.binary(document)),
            brackets(&self.removed(document))
        ))
    }

    fn cast(&self) -> &'static str {
        if self.json { "::json" } else { "" }
    }
}

/// A value as jsonb. Where it can be said without functions that depend on settings, it is.
fn json_of(value: &Ident, type_name: &str) -> String {
    let kind = type_name.trim().to_lowercase();
    match kind.split('(').next().unwrap_or_default().trim() {
        "smallint" | "int2" | "integer" | "int" | "int4" | "bigint" | "int8" | "boolean" | "bool" => {
            format!("{value}::text::jsonb")
        }
        "text" | "character varying" | "varchar" => {
            format!("jsonb_object(ARRAY['it'], ARRAY[{value}::text]) -> 'it'")
        }
        "jsonb" => value.to_string(),
        "json" => format!("{value}::jsonb"),
        _ => format!("to_jsonb({value})"),
    }
}

fn brackets(text: &str) -> String {
    format!("({text})")
}

fn path<'k>(keys: impl Iterator<Item = impl AsRef<str> + 'k>) -> String {
    let keys: Vec<String> = keys.map(|k| Literal(k.as_ref().to_owned()).to_string()).collect();
    format!("ARRAY[{}]::text[]", keys.join(", "))
}

fn parse(text: &str) -> Result<Expression, Refusal> {
    Expression::parse(text).map_err(|e| Refusal::Expression(e.to_string()))
}
