CREATE VIEW {{ inner }}{% if invoker %} WITH (security_invoker = true){% else if barrier %} WITH (security_barrier = true){% endif %} AS
{% if let Some(rows) = united -%}
SELECT r.* FROM (
{{ rows }}
) AS r
{{ Self::UNLOCKABLE }};
{%- else -%}
SELECT
{%- for f in fields %}
  {{ f.get }} AS {{ f.name }},
{%- endfor %}
{%- for h in hidden %}
  b.{{ h.column }} AS {{ h.name }},
{%- endfor %}
{%- for k in keys %}
  b.{{ k.column }} AS {{ k.name }},
{%- endfor %}
{%- if partitioned %}
  b.tableoid AS refactor_part,
{%- endif %}
  b.ctid AS refactor_token
FROM {{ base }} AS b
{%- if !one_look.is_empty() %}
{{ one_look }}
{%- endif %}
{%- if !rows.is_empty() %}
WHERE {{ rows }}
{%- endif %}
{%- if checked %}
WITH LOCAL CHECK OPTION
{%- endif %};
{%- endif %}
COMMENT ON VIEW {{ inner }} IS {{ inner_comment }};
{%- for h in hidden %}
ALTER VIEW {{ inner }} ALTER COLUMN {{ h.name }} SET DEFAULT {{ h.default }};
{%- endfor %}
CREATE VIEW {{ outer }}{% if invoker %} WITH (security_invoker = true){% endif %} AS
SELECT
{%- for f in fields %}
  {{ f.name }}{% if !loop.last %},{% endif %}
{%- endfor %}
FROM {{ inner }};
COMMENT ON VIEW {{ outer }} IS {{ outer_comment }};
{%- for f in fields %}
{%- if !f.default.is_empty() %}
ALTER VIEW {{ outer }} ALTER COLUMN {{ f.name }} SET DEFAULT {{ f.default }};
{%- endif %}
{%- if !f.comment.is_empty() %}
COMMENT ON COLUMN {{ outer }}.{{ f.name }} IS {{ f.comment }};
{%- endif %}
{%- endfor %}
{% if let Some(put) = put %}
{{ put }}
{% endif %}
{%- for line in rights %}
{{ line }};
{%- endfor %}
