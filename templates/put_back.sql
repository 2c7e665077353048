{%- for c in checks %}
{{ c.function }}
{%- endfor %}
CREATE FUNCTION {{ insert }}() RETURNS trigger
LANGUAGE plpgsql{{ rights }} AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  r {{ base }};
{%- for l in looks %}
  {{ l.variable }} {{ l.row_type }};
{%- endfor %}
BEGIN
{%- for f in generated %}
  IF NEW.{{ f }} IS DISTINCT FROM NULL THEN
    RAISE EXCEPTION 'cannot insert a non-DEFAULT value into column "%"', {{ f.literal }} USING ERRCODE = '428C9',
      DETAIL = {{ f.detail }}{% if let Some(hint) = f.hint %}, HINT = {{ hint }}{% endif %};
  END IF;
{%- if let Some(draws) = f.draws %}
  NEW.{{ f }} := {{ draws }};
{%- endif %}
{%- endfor %}
{%- for rule in early %}
{%- if !rule.on_insert.is_empty() %}
  IF {{ rule.on_insert }} THEN
    {{ rule }}
  END IF;
{%- endif %}
{%- endfor %}
{%- for l in looks %}
{%- if !l.on_insert.is_empty() %}
  {{ l.on_insert }}
{%- endif %}
{%- endfor %}
{%- for setting in flags %}
  PERFORM pg_catalog.set_config('{{ setting }}', '1', true);
{%- endfor %}
{%- if let Some(part) = part %}
{%- for rule in part.key %}
  IF {{ rule.on_insert }} THEN
    {{ rule }}
  END IF;
{%- endfor %}
  PERFORM 1 FROM {{ base }} AS b WHERE {{ part.is_row }} FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    {{ part.reference }}
  END IF;
  IF NOT EXISTS (SELECT FROM {{ part.absent }} AS x WHERE {{ part.is_absent }}) THEN
    {{ part.unique }}
  END IF;
  UPDATE {{ base }} AS b SET ({{ insert_columns }}) = ROW({{ insert_values }}) WHERE {{ part.is_row }} RETURNING b.* INTO r;
  IF NOT FOUND THEN RETURN NULL; END IF;
  DELETE FROM {{ part.absent }} AS x WHERE {{ part.is_absent }};
{%- else %}
{%- for n in numbered %}
  PERFORM pg_catalog.set_config({{ n.setting }}, ({{ n.given }})::text, true);
{%- endfor %}
  INSERT INTO {{ base }} ({{ insert_columns }}){% if overriding %} OVERRIDING SYSTEM VALUE{% endif %}
  VALUES ({{ insert_values }}) RETURNING * INTO r;
  -- A trigger of the table may have skipped the row.
  IF NOT FOUND THEN
{%- for n in numbered %}
    PERFORM pg_catalog.set_config({{ n.setting }}, '', true);
{%- endfor %}
{%- for setting in flags %}
    PERFORM pg_catalog.set_config('{{ setting }}', '', true);
{%- endfor %}
    RETURN NULL;
  END IF;
{%- endif %}
{%- for setting in flags %}
  PERFORM pg_catalog.set_config('{{ setting }}', '', true);
{%- endfor %}
{%- for statement in without_parts %}
  {{ statement }}
{%- endfor %}
{%- for f in own %}
{%- if !f.as_said %}
  NEW.{{ f.field }} := r.{{ f.column }};
{%- endif %}
{%- endfor %}
{%- for c in calculated %}
  NEW.{{ c.0 }} := {{ c.1 }};
{%- endfor %}
{%- for c in checks %}
  IF {{ c.holds }} IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', SCHEMA = {{ c.schema }}, TABLE = {{ c.table }},
      CONSTRAINT = {{ c.constraint }}, MESSAGE = {{ c.message }};
  END IF;
{%- endfor %}
{%- for rule in rules %}
  IF {{ rule.on_insert }} THEN
    {{ rule }}
  END IF;
{%- endfor %}
{%- for c in carried %}
  IF {{ c.has_key_r }} THEN
    PERFORM {{ c.set }}({{ c.keys_r }}, NEW.{{ c.field }});
{%- if c.rewritten %}
    NEW.{{ c.field }} := ({{ c.get }}({{ c.keys_r }})){{ c.part }};
{%- endif %}
  END IF;
{%- endfor %}
{%- for keep in keeps %}
  {{ keep.1 }}
{%- endfor %}
{%- for l in looks %}
{%- if !l.after.is_empty() %}
  {{ l.after }}
{%- endif %}
{%- endfor %}
{%- for n in numbered %}
  NEW.{{ n.field }} := {{ n.get_r }};
{%- endfor %}
{%- for a in added %}
  IF {{ a.is_own }} THEN
    {{ a.keep }}
  END IF;
{%- endfor %}
  RETURN NEW;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ insert }}() IS {{ comment }};
CREATE TRIGGER "!refactor_insert" INSTEAD OF INSERT ON {{ outer }} FOR EACH ROW EXECUTE FUNCTION {{ insert }}();

CREATE FUNCTION {{ update }}() RETURNS trigger
LANGUAGE plpgsql{{ rights }} AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  r {{ base }};
  now record;
  seen record;
{%- for l in looks %}
  {{ l.variable }} {{ l.row_type }};
{%- endfor %}
{%- if has_up %}
  strong boolean := false;
{%- endif %}
BEGIN
{%- if let Some(part) = part %}
  IF {{ part.key_changed }} THEN
    RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', SCHEMA = {{ part.schema }}, TABLE = {{ part.table }},
      MESSAGE = 'the key of this row cannot be changed yet', HINT = 'Delete it and insert it anew.';
  END IF;
{%- endif %}
{%- if generated.len() > 1 %}
  -- One look for all: most updates change none.
  IF {{ generated_changed }} THEN
{%- endif %}
{%- for f in generated %}
  IF pg_catalog.record_image_ne(ROW(NEW.{{ f }}), ROW(OLD.{{ f }})) THEN
    RAISE EXCEPTION 'column "%" can only be updated to DEFAULT', {{ f.literal }} USING ERRCODE = '428C9',
      DETAIL = {{ f.detail }};
  END IF;
{%- endfor %}
{%- if generated.len() > 1 %}
  END IF;
{%- endif %}
{%- for c in carried %}
  -- The order in which a writer of the old shape takes its locks: first the rows with the value, then this one.
  IF pg_catalog.record_image_ne(ROW(NEW.{{ c.field }}), ROW(OLD.{{ c.field }})){{ c.or_key_changed }} THEN
    {{ c.lock_rows }}
{%- if c.up %}
    strong := true;
{%- endif %}
  END IF;
{%- endfor %}
{%- for l in looks %}
{%- if let Some(lock) = l.lock %}
  IF {{ l.changed }} THEN
    {{ lock }}
  END IF;
{%- endif %}
{%- endfor %}
{%- if unchanged.is_empty() %}
  {{ look }}
{%- for l in looks %}
{%- if !l.on_update.is_empty() %}
  IF {{ l.changed }} THEN
    {{ l.on_update }}
  END IF;
{%- endif %}
{%- endfor %}
{%- for setting in quiet %}
  PERFORM pg_catalog.set_config('{{ setting }}', '1', true);
{%- endfor %}
{%- else %}
  -- Written at once if it still is the row that the statement saw. If not, see why.
{%- endif %}
  {{ write }}
{%- if !unchanged.is_empty() %}
  IF NOT FOUND THEN
    {{ look|indent(2) }}
    IF seen IS NULL THEN RETURN NULL; END IF;
    {{ write|indent(2) }}
    IF NOT FOUND THEN RETURN NULL; END IF;
  END IF;
{%- else if quiet.is_empty() %}
  IF NOT FOUND THEN RETURN NULL; END IF;
{%- else %}
  IF NOT FOUND THEN
{%- for setting in quiet %}
    PERFORM pg_catalog.set_config('{{ setting }}', '', true);
{%- endfor %}
    RETURN NULL;
  END IF;
{%- endif %}
{%- for c in checks %}
  IF {{ c.holds }} IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', SCHEMA = {{ c.schema }}, TABLE = {{ c.table }},
      CONSTRAINT = {{ c.constraint }}, MESSAGE = {{ c.message }};
  END IF;
{%- endfor %}
{%- for setting in quiet %}
  PERFORM pg_catalog.set_config('{{ setting }}', '', true);
{%- endfor %}
{%- if let Some(part) = part %}
  DELETE FROM {{ part.absent }} AS x WHERE {{ part.is_absent }};
{%- endif %}
{%- for f in own %}
{%- if !f.as_said %}
  NEW.{{ f.field }} := r.{{ f.column }};
{%- endif %}
{%- endfor %}
{%- for c in calculated %}
  NEW.{{ c.0 }} := {{ c.1 }};
{%- endfor %}
{%- for rule in rules %}
  IF {{ rule.on_update }} THEN
    {{ rule }}
  END IF;
{%- endfor %}
{%- for c in carried %}
  IF {{ c.has_key_r }} AND ({{ c.may_differ }}) AND pg_catalog.record_image_ne(ROW(({{ c.get }}({{ c.keys_r }})){{ c.part }}), ROW(NEW.{{ c.field }})) THEN
    PERFORM {{ c.set }}({{ c.keys_r }}, NEW.{{ c.field }});
{%- if c.rewritten %}
    NEW.{{ c.field }} := ({{ c.get }}({{ c.keys_r }})){{ c.part }};
{%- endif %}
  END IF;
{%- endfor %}
{%- for keep in keeps %}
  IF {{ keep.0 }} THEN
  {{ keep.1 }}
  END IF;
{%- endfor %}
{%- for l in looks %}
{%- if !l.after.is_empty() %}
  IF {{ l.changed }} THEN
    {{ l.after }}
  END IF;
{%- endif %}
{%- endfor %}
{%- for n in numbered %}
  IF NEW.{{ n.field }} <> OLD.{{ n.field }} THEN
    UPDATE {{ n.kept }} AS x SET refactor_value = NEW.{{ n.field }} WHERE {{ n.this_row }};
  END IF;
{%- endfor %}
{%- if added.len() > 1 %}
  IF {{ added_may_differ }} THEN
{%- endif %}
{%- for a in added %}
  IF {{ a.may_differ }} THEN
    IF {{ a.differs }} THEN
      {{ a.keep }}
    END IF;
  END IF;
{%- endfor %}
{%- if added.len() > 1 %}
  END IF;
{%- endif %}
  RETURN NEW;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ update }}() IS {{ comment }};
CREATE TRIGGER "!refactor_update" INSTEAD OF UPDATE ON {{ inner }} FOR EACH ROW EXECUTE FUNCTION {{ update }}();
{%- if deletes %}

CREATE FUNCTION {{ delete }}() RETURNS trigger
LANGUAGE plpgsql{{ rights }} AS {{ crate::name::BODY }}
DECLARE
  now record;
BEGIN
{%- if at_once %}
  DELETE FROM {{ base }} AS b WHERE {{ this_row }} AND {{ same }};
  IF FOUND THEN RETURN OLD; END IF;
{%- endif %}
  SELECT b.ctid AS token, b.xmin AS writer{{ part_now }} INTO now FROM {{ base }} AS b WHERE {{ this_row }} FOR UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
{%- if goes %}
  -- Matched twice it would be gone. What we wrote meanwhile came with another row of this statement.
  IF (now.token <> OLD.refactor_token{{ part_changed }}) AND NOT refactor.written_by_us(now.writer) THEN
{%- else %}
  IF now.token <> OLD.refactor_token{{ part_changed }} THEN
    IF refactor.written_by_us(now.writer) THEN RETURN NULL; END IF;
{%- endif %}
    RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = '40001',
      HINT = 'The row changed while this statement waited; a view cannot look at it again. Retry the transaction.';
  END IF;
{%- if may_stay %}
  BEGIN
{%- endif %}
{%- for statement in taken_along %}
  {{ statement }}
{%- endfor %}
{%- if part.is_none() %}
  {{ removal }}
{%- if may_stay %}
  -- A trigger of the table kept the row: so stays what was taken along.
  IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = 'RF000'; END IF;
  EXCEPTION WHEN SQLSTATE 'RF000' THEN RETURN NULL;
  END;
{%- else %}
  IF NOT FOUND THEN RETURN NULL; END IF;
{%- endif %}
{%- if !no_mark.is_empty() %}
  IF now.stays THEN
    {{ no_mark }}
  END IF;
{%- endif %}
{%- endif %}
  RETURN OLD;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ delete }}() IS {{ comment }};
CREATE TRIGGER "!refactor_delete" INSTEAD OF DELETE ON {{ inner }} FOR EACH ROW EXECUTE FUNCTION {{ delete }}();
{%- endif %}
{%- if !owner.is_empty() %}
ALTER FUNCTION {{ insert }}() OWNER TO {{ owner }};
ALTER FUNCTION {{ update }}() OWNER TO {{ owner }};
{%- if deletes %}
ALTER FUNCTION {{ delete }}() OWNER TO {{ owner }};
{%- endif %}
{%- endif %}
