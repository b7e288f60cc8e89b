"""The colours of classes in masks and pictures, as PASCAL VOC has them."""

NUM_LABELS = 256


def voc_colour(label: int) -> tuple[int, int, int]:
    """RGB in 0..255 of a label: VOC's colour map, whose 0 (background) is black and whose 255 (void) is cream.

    The three lowest bits of the label are the highest bits of red, green and blue, the next three the next.
    """
    red = green = blue = 0
    for bit in range(8):
        red |= (label >> 3 * bit & 1) << 7 - bit
        green |= (label >> 3 * bit + 1 & 1) << 7 - bit
        blue |= (label >> 3 * bit + 2 & 1) << 7 - bit
    return red, green, blue
