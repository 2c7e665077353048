CREATE {% if unlogged %}UNLOGGED {% endif %}TABLE {{ table }} (
{%- for k in keys %}
  {{ k.complement }} {{ k.type_name }}{% if !k.collation.is_empty() %} COLLATE {{ k.collation }}{% endif %} NOT NULL,
{%- endfor %}
{%- for v in values %}
  {{ v.0 }} {{ v.1 }},
{%- endfor %}
{%- if unknown %}
  refactor_unknown boolean NOT NULL DEFAULT false,
{%- endif %}
{%- for c in constraints %}
  CONSTRAINT {{ c.name }} {{ c.definition }},
{%- endfor %}
  PRIMARY KEY ({{ key_list }})
);
COMMENT ON TABLE {{ table }} IS {{ comment }};
ALTER TABLE {{ table }} OWNER TO {{ owner }};
