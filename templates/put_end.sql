COMMENT ON FUNCTION {{ frame.put }}() IS {{ frame.comment }};
CREATE TRIGGER "!refactor_insert" INSTEAD OF INSERT ON {{ frame.outer }} FOR EACH ROW EXECUTE FUNCTION {{ frame.put }}();
CREATE TRIGGER "!refactor_update" INSTEAD OF UPDATE OR DELETE ON {{ frame.inner }} FOR EACH ROW EXECUTE FUNCTION {{ frame.put }}();
{%- if !frame.owner.is_empty() %}
ALTER FUNCTION {{ frame.put }}() OWNER TO {{ frame.owner }};
{%- endif %}
