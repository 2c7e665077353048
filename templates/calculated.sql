{%- for c in calculated %}
CREATE FUNCTION {{ c.teller }}({{ c.types }}) RETURNS {{ c.type_name }} LANGUAGE sql RETURN ({{ c.value }})::{{ c.type_name }};
COMMENT ON FUNCTION {{ c.teller }} IS {{ c.comment }};
{%- endfor %}
CREATE FUNCTION {{ function }}() RETURNS trigger
LANGUAGE plpgsql AS {{ crate::name::BODY }}
DECLARE
  hint text;
BEGIN
  -- A row for which a value cannot be computed could be written but never read. A table computes it before it looks at
  -- anything else, so this is the last trigger (by its name) that runs before.
{%- for c in calculated %}
  IF TG_OP = 'INSERT' OR {{ c.changed }} THEN
    hint := {{ c.hint }};
    -- It is computed, whatever it is.
    IF pg_catalog.num_nulls({{ c.teller }}({{ c.read }})) < 0 THEN NULL; END IF;
  END IF;
{%- endfor %}
  RETURN NEW;
EXCEPTION WHEN data_exception OR integrity_constraint_violation OR raise_exception THEN
  RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM, HINT = hint;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_insert }} BEFORE INSERT ON {{ table }}
  FOR EACH ROW EXECUTE FUNCTION {{ function }}();
CREATE TRIGGER {{ trigger_update }} BEFORE UPDATE ON {{ table }}
  FOR EACH ROW WHEN ({{ changed }}) EXECUTE FUNCTION {{ function }}();
