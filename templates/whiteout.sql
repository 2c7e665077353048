CREATE FUNCTION {{ function }}() RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS {{ crate::name::BODY }}
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'undefined_table', MESSAGE = {{ message }}, HINT = {{ hint }};
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
GRANT EXECUTE ON FUNCTION {{ function }}() TO PUBLIC;
-- The planner asks an immutable function while it plans: so a statement fails whatever it would find, also nothing.
CREATE VIEW {{ view }} AS
SELECT
{%- for f in fields %}
  NULL::{{ f.type_name }} AS {{ f.name }},
{%- endfor %}
  true AS refactor_gone
WHERE {{ function }}();
COMMENT ON VIEW {{ view }} IS {{ comment }};
-- INSERT does not read the view: it is planned with this default, or, if it gives every field, begins with the trigger.
ALTER VIEW {{ view }} ALTER COLUMN refactor_gone SET DEFAULT {{ function }}();
CREATE FUNCTION {{ trigger }}() RETURNS trigger
LANGUAGE plpgsql AS {{ crate::name::BODY }}
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'undefined_table', MESSAGE = {{ message }}, HINT = {{ hint }};
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ trigger }}() IS {{ comment }};
GRANT EXECUTE ON FUNCTION {{ trigger }}() TO PUBLIC;
CREATE TRIGGER "!refactor_gone" BEFORE INSERT OR UPDATE OR DELETE ON {{ view }}
  FOR EACH STATEMENT EXECUTE FUNCTION {{ trigger }}();
CREATE TRIGGER "!refactor_gone_row" INSTEAD OF INSERT OR UPDATE OR DELETE ON {{ view }}
  FOR EACH ROW EXECUTE FUNCTION {{ trigger }}();
GRANT SELECT, INSERT, UPDATE, DELETE ON {{ view }} TO PUBLIC;
