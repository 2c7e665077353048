# The shop with ActiveRecord, and its tests. SHAPE is `old` or `new`; with FOLLOW it does what the page says.
require "active_record"
require "active_record/connection_adapters/postgresql_adapter"

NEW = ENV["SHAPE"] == "new"
FOLLOW = ENV.key?("FOLLOW")

# A view has no key that could be found.
module KeysOfViews
  def primary_keys(table) = super.presence || (view_exists?(table) ? ["id"] : [])
end
ActiveRecord::ConnectionAdapters::PostgreSQLAdapter.prepend(KeysOfViews) if FOLLOW
ActiveRecord::Base.establish_connection(ENV.fetch("DATABASE_URL"))

class Shop < ActiveRecord::Base
  self.abstract_class = true
end

class Customer < Shop
  self.table_name = "customers"
  alias_attribute :name, :full_name if NEW
  has_many :orders
end

class Order < Shop
  self.table_name = "orders"
  belongs_to :customer
  has_many :lines
end

class Maker < Shop
  self.table_name = "makers"
end

class Product < Shop
  self.table_name = "products"
  has_many :lines
end

class Tag < Shop
  self.table_name = "tags"
end

class Line < Shop
  self.table_name = NEW ? "lines" : "order_lines"
  belongs_to :order
  belongs_to :product
end

NAME = NEW ? "full_name" : "name"

def new_product(sku, **more)
  { sku: sku, price: 1.5 }.merge(NEW ? { maker_id: 1 } : { maker: "Acme" }).merge(more)
end

def same(found, wanted)
  raise "#{found.inspect} instead of #{wanted.inspect}" unless found == wanted
end

# The rule that it breaks.
def refused(kind)
  Shop.transaction(requires_new: true) { yield }
  raise "not refused"
rescue kind => e
  e.cause.result.error_field(PG::PG_DIAG_CONSTRAINT_NAME) || e.cause.result.error_field(PG::PG_DIAG_COLUMN_NAME)
end

# The row, for us alone until the end.
def locked(row)
  row.lock!
  FOLLOW ? row.reload : row
end

def upsert(sku, stock)
  if FOLLOW
    Product.where(sku: sku).update_all(stock: stock) > 0 || Product.create!(**new_product(sku, stock: stock))
  else
    Product.upsert_all([new_product(sku, stock: stock)], unique_by: :sku)
  end
end

TESTS = {
  create_and_find: -> {
    made = Customer.create!(name: "Dee", email: "dee@example.org")
    same Customer.find(made.id).name, "Dee"
  },
  database_defaults: -> { same Order.create!(customer_id: 1, placed: "2026-04-01").reload.status, "open" },
  save_changes: -> {
    ada = Customer.find_by!(email: "ada@example.org")
    ada.update!(name: "Ada B")
    same Customer.where(email: "ada@example.org").pluck(NAME), ["Ada B"]
  },
  the_city: -> {
    holder = NEW ? Customer.find_by!(NAME => "Ben") : Order.find_by!(customer_id: 2)
    same holder.city, "Ulm"
    holder.update!(city: "Bonn")
    found = NEW ? Order.joins(:customer).where(customers: { city: "Bonn" }) : Order.where(city: "Bonn")
    same found.map(&:customer_id), [2]
  },
  delete: -> {
    Order.find(1).destroy!
    same [Line.where(order_id: 1).count, Order.count], [0, 2]
  },
  delete_of_a_product: -> {
    Product.create!(**new_product("axe")).destroy!
    same Product.where(sku: "axe").count, 0
  },
  join: -> {
    lines = Line.eager_load(:product, order: :customer).where(products: { sku: "saw" })
    same lines.map { |l| [l.order.customer.name, l.product.price] }, [["Ada", BigDecimal("19.90")]]
  },
  preload: -> { same Customer.includes(orders: :lines).order(:id).map { |c| c.orders.sum { |o| o.lines.size } }, [3, 1, 0] },
  aggregate: -> { same Line.joins(:product).group(:order_id).order(:order_id).sum("amount * price").values.map(&:to_f), [1.5, 19.9, 0.5] },
  group_by_key: -> {
    by = FOLLOW ? ["customers.id", "customers.#{NAME}"] : ["customers.id"]
    counted = Customer.left_joins(:orders).group(*by).order("customers.id").select("customers.#{NAME}, count(orders.id) AS n")
    same counted.map { |c| [c[NAME], c.n] }, [["Ada", 2], ["Ben", 1], ["Cy", 0]]
  },
  unique: -> { same refused(ActiveRecord::RecordNotUnique) { Customer.create!(name: "A", email: "ada@example.org") }, "customers_email_key" },
  foreign_key: -> {
    same refused(ActiveRecord::InvalidForeignKey) { Order.insert_all!([{ customer_id: 99, placed: "2026-04-01" }]) }, "orders_customer_id_fkey"
  },
  not_null: -> { same refused(ActiveRecord::NotNullViolation) { Customer.create!(name: "A", email: nil) }, "email" },
  check: -> { same refused(ActiveRecord::StatementInvalid) { Product.create!(**new_product("bad", price: -1)) }, "products_price_check" },
  upsert: -> {
    upsert("saw", 5)
    upsert("axe", 6)
    same Product.where(sku: %w[saw axe]).order(:sku).pluck(:stock), [6, 5]
  },
  insert_or_ignore: -> {
    if FOLLOW
      refused(ActiveRecord::RecordNotUnique) { Customer.create!(name: "A", email: "ada@example.org") }
    else
      Customer.insert_all([{ NAME => "A", email: "ada@example.org" }])
    end
    same Customer.count, 3
  },
  upsert_of_a_line: -> {
    if FOLLOW # `unique_by` looks for an index; the database finds it behind the view
      Line.connection.execute("INSERT INTO #{Line.table_name} (order_id, product_id, amount) VALUES (1, 1, 99)
        ON CONFLICT (order_id, product_id) DO UPDATE SET amount = excluded.amount")
    else
      Line.upsert_all([{ order_id: 1, product_id: 1, amount: 99 }], unique_by: %i[order_id product_id])
    end
    same Line.find_by!(order_id: 1, product_id: 1).amount, 99
  },
  find_or_create_by: -> {
    same Customer.find_or_create_by!(email: "ada@example.org").name, "Ada"
    same Customer.create_or_find_by!(email: "ben@example.org") { |c| c.name = "B" }.name, "Ben"
  },
  lock: -> {
    saw = locked(Product.find_by!(sku: "saw"))
    saw.update!(stock: saw.stock - 1)
    same Product.find_by!(sku: "saw").stock, 6
  },
  lock_of_a_line: -> {
    line = Line.lock.find_by!(order_id: 2)
    line.update!(amount: line.amount + 1)
    same Line.find_by!(order_id: 2).amount, 2
  },
  many_at_once: -> {
    same Product.insert_all!((1..50).map { |i| new_product("p#{i}") }, returning: %w[id]).rows.uniq.size, 50
  },
  each_batch: -> { same Customer.find_each(batch_size: 2).map(&:id), [1, 2, 3] },
  first_and_last: -> { same [Customer.first.id, Customer.last.id], [1, 3] },
  update_by_condition: -> {
    same Product.where("price < 1").update_all("stock = stock + 1"), 2
    same Product.find_by!(sku: "nut").stock, 801
  },
  reload: -> {
    ada = Customer.find_by!(email: "ada@example.org")
    Customer.update_all(NAME => "all")
    same ada.reload.name, "all"
  },
  savepoint: -> {
    Shop.transaction(requires_new: true) do
      Customer.update_all(NAME => "gone")
      raise ActiveRecord::Rollback
    end
    same Customer.where(NAME => "gone").count, 0
  },
  pages_and_subqueries: -> { same Customer.where(id: Order.select(:customer_id)).order(id: :desc).offset(1).limit(1).pluck(NAME), ["Ada"] },
  cleanup: -> {
    tables = [Line, Order, Product, Customer]
    if FOLLOW
      tables.each(&:delete_all)
    else # as database_cleaner's truncation, and `fixtures`, do
      Shop.connection.truncate_tables(*tables.map(&:table_name))
    end
    same Customer.count, 0
  },
  an_untouched_table: -> { same [Tag.find_by!(word: "new").id, Shop.connection.table_exists?("tags")], [1, true] },
  introspection: -> {
    same Customer.column_names.first(3), ["id", NAME, "email"]
    same Shop.connection.primary_key("customers"), "id"
  },
}.freeze

failed = false
TESTS.each do |name, test|
  Shop.transaction do
    test.call
    puts "ok #{name}"
    raise ActiveRecord::Rollback
  end
rescue StandardError => e
  failed = true
  puts "not ok #{name} - #{e.class} #{e.message.lines.first&.strip}"
end
exit !failed
