CREATE TABLE {{ table }} (
{%- for line in lines %}
  {{ line }}{% if !loop.last %},{% endif %}
{%- endfor %}
);
{%- if !owner.is_empty() %}
ALTER TABLE {{ table }} OWNER TO {{ owner }};
{%- endif %}
{%- for line in more %}
{{ line }};
{%- endfor %}
