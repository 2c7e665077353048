{%- if by_place -%}
  SELECT b.ctid AS token INTO now FROM {{ base }} AS b WHERE {{ this_row }}{% if !part_now.is_empty() %} AND b.tableoid = OLD.refactor_part{% endif %} FOR NO KEY UPDATE;
  -- What has taken its place, and whether it is the same, cannot be told without a key.
  IF now.token IS DISTINCT FROM OLD.refactor_token THEN
    RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = '40001',
      HINT = 'The row changed while this statement waited, or the statement matched it twice, which cannot be told apart without a key. Retry the transaction.';
  END IF;
{%- else -%}
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
  IF now.token <> OLD.refactor_token{{ part_changed }} THEN
    -- Matched twice by this statement: a table takes the first match and ignores the rest.
    IF refactor.written_by_us(now.writer){{ self_same }} THEN
{%- if !followed.is_empty() %}
      -- Or a foreign key action came with another row of this statement; a table would look at the row before that.
      IF {{ followed }} THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
          MESSAGE = 'a row cannot be updated by a statement that also renumbers the row it refers to',
          HINT = 'Renumber in a statement of its own.';
      END IF;
{%- endif %}
{%- if !only_followed.is_empty() %}
      -- Or a foreign key's action came with another row of this statement; then this is the first match.
      IF NOT {{ only_followed }} THEN
{%- endif %}
      -- Or a trigger of the table wrote the row, for another row of this statement: so it is if what this statement changes
      -- is as it was, and something else is not. For a table triggers come when all rows are written; here the row goes on
      -- from what they made of it.
      SELECT v.* INTO seen FROM {{ inner }} AS v WHERE {{ is_seen }};
      {{ goes_on|indent(4) }}
{%- if !only_followed.is_empty() %}
      END IF;
{%- endif %}
    END IF;
    IF NOT refactor.written_by_us(now.writer) THEN
      RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = '40001',
        HINT = 'The row changed while this statement waited; a view cannot look at it again. Retry the transaction.';
    END IF;
{%- if !stale.is_empty() %}
  -- The row is as this statement saw it, whoever wrote it, but a value that it gets from elsewhere is not.
  ELSIF {% for condition in stale %}{% if !loop.first %}
    OR {% endif %}{{ condition }}{% endfor %} THEN
    RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = '40001',
      HINT = 'A value of the row changed while this statement waited; a view cannot look at it again. Retry the transaction.';
{%- endif %}
  END IF;
{%- endif %}
{%- for rule in early %}
  IF {{ rule.on_update }} THEN
    {{ rule }}
  END IF;
{%- endfor %}
