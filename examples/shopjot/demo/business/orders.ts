import type { Account } from "./customers.ts";
import type { Product } from "./range.ts";
import { type Chance, remove, type Write, write } from "./write.ts";

/** An order as the orders team knows it. */
export interface Order {
  readonly id: string;
  readonly customer: Account;
  status: "draft" | "placed" | "paid" | "shipped" | "cancelled";
  /** Ids. */
  readonly lines: number[];
}

/** What the orders team does: orders and their lines. */
export class Orders {
  readonly orders: Order[] = [];
  readonly #chance: Chance;
  #lastLine = 0;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  /** An order with its lines, as a draft: nothing of it is public. */
  fillBasket(customer: Account, products: readonly Product[]): Write {
    const order: Order = { id: this.#chance.uuid(), customer, status: "draft", lines: [] };
    this.orders.push(order);
    return write(
      "orders",
      `${customer.name} fills a basket: a draft, not public yet`,
      "INSERT orders, order_lines",
      [
        `INSERT INTO orders (id, account_id, shipping_fee, fraud_score) VALUES ($1, $2, 4.95, 0.1)`,
        order.id,
        customer.id,
      ],
      ...products.map((product) => this.#line(order, product)),
    );
  }

  #line(order: Order, product: Product): [string, ...unknown[]] {
    const id = ++this.#lastLine;
    order.lines.push(id);
    return [
      `INSERT INTO order_lines (id, order_id, sku, quantity, unit_price, gift_note) VALUES ($1, $2, $3, $4, $5, $6)`,
      id,
      order.id,
      product.sku,
      1 + Math.floor(this.#chance.random() * 3),
      product.price,
      id % 4 === 0 ? "Happy birthday!" : null,
    ];
  }

  /** The next state: the order is published, and each of its lines. */
  advance(order: Order): Write {
    const next = {
      draft: "placed",
      placed: "paid",
      paid: "shipped",
      shipped: "shipped",
      cancelled: "cancelled",
    } as const;
    order.status = next[order.status];
    return write(
      "orders",
      `The order of ${order.customer.name} is ${order.status}: so are its lines`,
      "UPDATE orders",
      [
        `UPDATE orders SET status = $2, placed_at = coalesce(placed_at, now()), delivery = $3 WHERE id = $1`,
        order.id,
        order.status,
        order.status === "shipped" ? JSON.stringify({ carrier: "PostNL", parcels: 1 }) : null,
      ],
    );
  }

  /** The end of an order that was not shipped. */
  cancel(order: Order): Write {
    order.status = "cancelled";
    return write("orders", `${order.customer.name} cancels an order`, "UPDATE orders", [
      `UPDATE orders SET status = 'cancelled' WHERE id = $1`,
      order.id,
    ]);
  }

  /** The order leaves the public schema, and its lines with it. */
  backToBasket(order: Order): Write {
    order.status = "draft";
    return write(
      "orders",
      `${order.customer.name} thinks again: the order is a basket once more`,
      "UPDATE orders",
      [`UPDATE orders SET status = 'draft', placed_at = NULL WHERE id = $1`, order.id],
    );
  }

  /** The total of the order changes. */
  addLine(order: Order, product: Product): Write {
    return write(
      "orders",
      `${order.customer.name} adds ${product.title}`,
      "INSERT order_lines",
      this.#line(order, product),
    );
  }

  /** A part of the order goes: the order is published with its new total. */
  removeLine(order: Order): Write {
    const id = order.lines.shift();
    return write(
      "orders",
      `${order.customer.name} takes a line out: the total changes`,
      "DELETE order_lines",
      [`DELETE FROM order_lines WHERE id = $1`, id],
    );
  }

  /** A delete that cascades. */
  deleteOrder(order: Order): Write {
    remove(this.orders, order);
    return write("orders", `The order of ${order.customer.name} is deleted with its lines`, "DELETE orders", [
      `DELETE FROM orders WHERE id = $1`,
      order.id,
    ]);
  }
}
