{%- if has_up -%}
  IF strong THEN
    SELECT b.ctid AS token, b.xmin AS writer{{ part_now }}{{ before }} INTO now FROM {{ base }} AS b WHERE {{ this_row }} FOR UPDATE;
  ELSE
    SELECT b.ctid AS token, b.xmin AS writer{{ part_now }}{{ before }} INTO now FROM {{ base }} AS b WHERE {{ this_row }} FOR NO KEY UPDATE;
  END IF;
{%- else -%}
  SELECT b.ctid AS token, b.xmin AS writer{{ part_now }}{{ before }} INTO now FROM {{ base }} AS b WHERE {{ this_row }} FOR NO KEY UPDATE;
{%- endif %}
  IF NOT FOUND THEN RETURN NULL; END IF;
  again := false;
  IF now.token <> OLD.refactor_token{{ part_changed }} THEN
    IF NOT refactor.written_by_us(now.writer) THEN
      RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = '40001',
        HINT = 'The row changed while this statement waited; a view cannot look at it again. Retry the transaction.';
    END IF;
    -- Matched twice by this statement: a table takes the first match and ignores the rest.
    IF refactor.remembers({{ memory }}, token) THEN RETURN NULL; END IF;
{%- if !followed.is_empty() %}
    -- A foreign key action came with another row of this statement; a table would look at the row before that.
    IF {{ followed }} THEN
      RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
        MESSAGE = 'a row cannot be updated by a statement that also renumbers the row it refers to',
        HINT = 'Renumber in a statement of its own.';
    END IF;
{%- endif %}
    SELECT v.* INTO fresh FROM {{ inner }} AS v WHERE {{ this_in_view }};
    IF NOT FOUND THEN RETURN NULL; END IF;
    again := true;
{%- if !stale.is_empty() %}
  -- The row is as this statement saw it, whoever wrote it, but a value that it gets from elsewhere is not.
  ELSIF {% for s in stale %}{% if !loop.first %}
    OR {% endif %}{{ s }}{% endfor %} THEN
    IF NOT ({% for o in ours %}{% if !loop.first %}
      OR {% endif %}{{ o }}{% endfor %}) THEN
      RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = '40001',
        HINT = 'A value of the row changed while this statement waited; a view cannot look at it again. Retry the transaction.';
    END IF;
    -- Another part of this statement has changed it.
    SELECT v.* INTO fresh FROM {{ inner }} AS v WHERE {{ this_in_view }};
    IF NOT FOUND THEN RETURN NULL; END IF;
    again := true;
{%- endif %}
  END IF;
  IF again THEN
    {{ go_on|indent(4) }}
    OLD := fresh;
  END IF;
{%- for rule in early %}
  IF {{ rule.on_update }} THEN
    {{ rule }}
  END IF;
{%- endfor %}
{%- if at_once %}
  -- A trigger of the table kept the row as it is.
  IF NOT again THEN RETURN NULL; END IF;
{%- endif %}
