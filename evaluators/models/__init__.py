"""Networks for 32 x 32 images and for the digits; torchvision's come by their own names."""
