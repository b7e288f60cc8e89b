"""Constants of sRGB (IEC 61966-2-1) and CIE L*a*b* under D65, 2 degrees, as scikit-image rounds them."""

WHITE_XYZ = (0.95047, 1.0, 1.08883)

# Linear RGB -> XYZ relative to the white point: row i is divided by WHITE_XYZ[i].
RGB_TO_XYZ = (
    (0.412453 / WHITE_XYZ[0], 0.357580 / WHITE_XYZ[0], 0.180423 / WHITE_XYZ[0]),
    (0.212671 / WHITE_XYZ[1], 0.715160 / WHITE_XYZ[1], 0.072169 / WHITE_XYZ[1]),
    (0.019334 / WHITE_XYZ[2], 0.119193 / WHITE_XYZ[2], 0.950227 / WHITE_XYZ[2]),
)

# Below the knees both transfer curves are straight lines: sRGB / 12.92, and 7.787 t + 16 / 116.
SRGB_KNEE = 0.04045
LINEAR_KNEE = 0.0031308
SRGB_SLOPE = 12.92
LAB_KNEE = 0.008856
LAB_KNEE_ROOT = 0.2068966
LAB_SLOPE = 7.787
LAB_OFFSET = 16 / 116
