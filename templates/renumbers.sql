{% for r in renumbers %}
CREATE FUNCTION {{ r.function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {{ crate::name::BODY }}
BEGIN
  -- Foreign keys take the rows below along when all rows are written; the old key of a row may be another's by then.
  PERFORM pg_catalog.set_config({{ r.setting }}, CASE TG_WHEN WHEN 'BEFORE' THEN '1' ELSE '' END, true);
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ r.function }}() IS {{ comment }};
CREATE TRIGGER {{ r.trigger_before }} BEFORE UPDATE OF {{ r.columns }} ON {{ r.table }}
  FOR EACH STATEMENT EXECUTE FUNCTION {{ r.function }}();
CREATE TRIGGER {{ r.trigger_after }} AFTER UPDATE OF {{ r.columns }} ON {{ r.table }}
  FOR EACH STATEMENT EXECUTE FUNCTION {{ r.function }}();
{%- endfor %}
