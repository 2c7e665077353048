CREATE FUNCTION {{ function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
BEGIN
  -- A key is unique over all tables of the union. {{ waits }}
{%- for k in keys %}
  IF {{ k.present }} THEN
    {{ k.lock }};
{%- if !k.left.is_empty() %}
    -- The number of a row that the same statement has deleted.
    {{ k.left }};
{%- endif %}
    IF {{ k.elsewhere }} THEN
      RAISE EXCEPTION USING ERRCODE = 'unique_violation', SCHEMA = {{ schema }}, TABLE = {{ table }}, CONSTRAINT = {{ k.constraint }},
        MESSAGE = {{ k.message }}, DETAIL = pg_catalog.format({{ k.detail }}, {{ k.values }}), HINT = {{ hint }};
    END IF;
  END IF;
{%- endfor %}
  RETURN {% if early %}NEW{% else %}NULL{% endif %};
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_insert }} {% if early %}BEFORE{% else %}AFTER{% endif %} INSERT ON {{ on }}
  FOR EACH ROW EXECUTE FUNCTION {{ function }}();
CREATE TRIGGER {{ trigger_update }} {% if early %}BEFORE{% else %}AFTER{% endif %} UPDATE ON {{ on }}
  FOR EACH ROW WHEN ({{ changed }}) EXECUTE FUNCTION {{ function }}();
