/** Stands in for the image library that @huggingface/transformers imports: the lab reads no images. */
const noSharp: Record<string, never> = {}
export default noSharp
