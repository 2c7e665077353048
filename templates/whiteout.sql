CREATE FUNCTION {{ function }}() RETURNS boolean
LANGUAGE plpgsql VOLATILE AS {{ crate::name::BODY }}
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'undefined_table', MESSAGE = {{ message }}, HINT = {{ hint }};
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
CREATE VIEW {{ view }} AS
SELECT
{%- for f in fields %}
  NULL::{{ f.type_name }} AS {{ f.name }}{% if !loop.last %},{% endif %}
{%- endfor %}
WHERE {{ function }}();
COMMENT ON VIEW {{ view }} IS {{ comment }};
CREATE FUNCTION {{ trigger }}() RETURNS trigger
LANGUAGE plpgsql AS {{ crate::name::BODY }}
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'undefined_table', MESSAGE = {{ message }}, HINT = {{ hint }};
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ trigger }}() IS {{ comment }};
CREATE TRIGGER "!refactor_gone" INSTEAD OF INSERT OR UPDATE OR DELETE ON {{ view }}
  FOR EACH ROW EXECUTE FUNCTION {{ trigger }}();
GRANT SELECT, INSERT, UPDATE, DELETE ON {{ view }} TO PUBLIC;
