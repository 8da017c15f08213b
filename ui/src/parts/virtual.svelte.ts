// Of a long list only the rows that are seen are in the document. A thin layer between @tanstack/virtual-core and Svelte.
import { Virtualizer, elementScroll, observeElementOffset, observeElementRect, type VirtualItem } from "@tanstack/virtual-core";

export interface ListShape {
  count: number;
  /** Pixels of a row that was not measured yet. */
  rowPixels: (index: number) => number;
  keyOf: (index: number) => string | number;
}

export class VirtualRows {
  rows = $state.raw<VirtualItem[]>([]);
  height = $state(0);
  readonly virtualizer: Virtualizer<HTMLElement, HTMLElement>;
  private element: HTMLElement | null = null;

  constructor(private shape: ListShape) {
    this.virtualizer = new Virtualizer(this.options());
  }

  /** A Svelte action for the element that scrolls. */
  scroller = (element: HTMLElement): { destroy: () => void } => {
    this.element = element;
    const unmount = this.virtualizer._didMount();
    this.refresh();
    return {
      destroy: () => {
        unmount();
        this.element = null;
      },
    };
  };

  /** A Svelte action for a row whose height is only known once it is drawn. It carries its number as data-index. */
  measured = (element: HTMLElement): { destroy: () => void } => {
    this.virtualizer.measureElement(element);
    return { destroy: () => this.virtualizer.measureElement(null) };
  };

  /** The list is another one, or longer. */
  reshape(shape: ListShape, forgetsSizes = false): void {
    this.shape = shape;
    this.virtualizer.setOptions(this.options());
    if (forgetsSizes) this.virtualizer.measure();
    this.refresh();
  }

  /** Rows came in front (positive) or went away there (negative): what is seen stays where it is. */
  shiftBy(rows: number, rowPixels: number): void {
    if (!this.element || rows === 0) return;
    this.element.scrollTop += rows * rowPixels;
  }

  show(index: number, align: "start" | "center" | "end" | "auto" = "auto"): void {
    this.virtualizer.scrollToIndex(index, { align });
  }

  private options() {
    return {
      count: this.shape.count,
      getScrollElement: () => this.element,
      estimateSize: this.shape.rowPixels,
      getItemKey: this.shape.keyOf,
      observeElementRect,
      observeElementOffset,
      scrollToFn: elementScroll,
      overscan: 12,
      onChange: () => this.read(),
    };
  }

  private refresh(): void {
    this.virtualizer._willUpdate();
    this.read();
  }

  private read(): void {
    this.rows = this.virtualizer.getVirtualItems();
    this.height = this.virtualizer.getTotalSize();
  }
}
