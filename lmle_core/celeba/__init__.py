"""CelebA and data sets in its layout: annotations, images, and what is known of them."""
