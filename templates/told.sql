{%- for p in puts %}
{%- if let Some(body) = p.body %}
CREATE FUNCTION {{ p.function }}({{ p.parameters }}) RETURNS void LANGUAGE sql
BEGIN ATOMIC
{{ body }};
END;
COMMENT ON FUNCTION {{ p.function }} IS {{ frame.comment }};
{%- endif %}
{%- endfor %}
CREATE FUNCTION {{ frame.put }}() RETURNS trigger
LANGUAGE plpgsql AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  was {{ made }};
  written {{ made }};
  shown {{ made }}[];
BEGIN
{%- for p in puts %}
{%- if p.body.is_none() %}
  IF TG_OP = '{{ p.operation }}' THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', SCHEMA = {{ schema }}, TABLE = {{ table }},
      MESSAGE = {{ p.message }}, HINT = {{ without }};
  END IF;
{%- endif %}
{%- endfor %}
{%- include "filled.sql" %}
  IF TG_OP = 'INSERT' THEN
    PERFORM {{ lock }}(false, NULL);
  ELSE
    was := ROW({{ of_old }})::{{ made }};
    IF NOT {{ lock }}(true, was) THEN RETURN NULL; END IF;
    shown := ARRAY(SELECT ROW({{ of_view }})::{{ made }} FROM {{ frame.inner }} AS v WHERE {{ at_old }});
    IF pg_catalog.cardinality(shown) = 0 THEN RETURN NULL; END IF;
    IF pg_catalog.cardinality(shown) > 1 THEN
      RAISE EXCEPTION USING ERRCODE = 'cardinality_violation', SCHEMA = {{ schema }}, TABLE = {{ table }},
        MESSAGE = pg_catalog.format('%s rows of %s have the key of the row to be written', pg_catalog.cardinality(shown), {{ name }});
    ELSIF pg_catalog.record_image_ne(shown[1], was) THEN
      RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = '40001',
        HINT = 'The row changed while this statement waited; a view cannot look at it again. Retry the transaction.';
    END IF;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    written := {{ judge }}(ROW({{ of_new }})::{{ made }});
{%- for u in unique %}
    IF (CASE WHEN {{ u.given }} AND (TG_OP = 'INSERT' OR {{ u.changed }})
      THEN EXISTS (SELECT FROM {{ frame.inner }} AS v WHERE {{ u.same }} AND (TG_OP = 'INSERT' OR NOT ({{ at_was }}))) ELSE false END) THEN
      RAISE EXCEPTION USING ERRCODE = 'unique_violation', SCHEMA = {{ schema }}, TABLE = {{ table }}, CONSTRAINT = {{ u.constraint }},
        MESSAGE = {{ u.message }}, DETAIL = pg_catalog.format({{ u.detail }}, {{ u.values }});
    END IF;
{%- endfor %}
{%- for f in fields %}
    NEW.{{ f }} := written.{{ f }};
{%- endfor %}
{%- for r in references %}
    IF (CASE WHEN TG_OP = 'INSERT' THEN {{ r.on_insert }} ELSE {{ r.on_update }} END) THEN
      {{ r }}
    END IF;
{%- endfor %}
  END IF;
{%- for p in puts %}
{%- if p.body.is_some() %}
  IF TG_OP = '{{ p.operation }}'{% if p.operation == "UPDATE" %} AND pg_catalog.record_image_ne(written, was){% endif %} THEN
    PERFORM {{ p.function }}({{ p.arguments }});
  END IF;
{%- endif %}
{%- endfor %}
  -- What is written must be what is read.
  IF TG_OP <> 'DELETE' THEN
    shown := ARRAY(SELECT ROW({{ of_view }})::{{ made }} FROM {{ frame.inner }} AS v WHERE {{ at_written }});
    IF pg_catalog.cardinality(shown) <> 1 OR pg_catalog.record_image_ne(shown[1], written) THEN
      RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', SCHEMA = {{ schema }}, TABLE = {{ table }},
        MESSAGE = pg_catalog.format('the SQL of %s does not store what was written to it', {{ name }}),
        DETAIL = pg_catalog.format('Written: %s; read: %s.', written, CASE WHEN pg_catalog.cardinality(shown) = 0 THEN 'nothing' ELSE pg_catalog.array_to_string(shown, ' ') END),
        HINT = {{ hint }};
    END IF;
  END IF;
  IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND NOT ({{ same_key }}) THEN
    IF EXISTS (SELECT FROM {{ frame.inner }} AS v WHERE {{ at_was }}) THEN
      RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', SCHEMA = {{ schema }}, TABLE = {{ table }},
        MESSAGE = pg_catalog.format('the SQL of %s does not take away a row', {{ name }}),
        DETAIL = pg_catalog.format('Still there: %s.', was), HINT = {{ hint }};
    END IF;
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END
{{ crate::name::BODY }};
{% include "put_end.sql" %}
CREATE TRIGGER "!refactor_before" BEFORE UPDATE OR DELETE ON {{ frame.inner }} FOR EACH STATEMENT EXECUTE FUNCTION {{ statement }}();
CREATE TRIGGER "!refactor_after" AFTER UPDATE OR DELETE ON {{ frame.inner }} FOR EACH STATEMENT EXECUTE FUNCTION {{ statement }}();
